/** Where commands ask when they are not told. A file of its own: to read a command line loads nothing else. */
export const DEFAULT_CONSOLE_URL = 'http://127.0.0.1:8420';
