/** What is kept of a foreign process's environment goes through here first: bounded in length, credentials blanked. Pure. */

const MAX_LENGTH = 200;
const URL_CREDENTIALS = /(\b[a-z][a-z0-9+.-]*:\/\/)[^/\s@]+@/gi;
/** Whatever follows a name that speaks of a secret, to the end: a secret may hold spaces. */
const NAMED_SECRET = /\b([\w.-]*(?:pass(?:word|wd)?|secret|token|api[_-]?key|credential|authorization|bearer)[\w.-]*)(\s*[=:]\s*|\s+).+/gi;
/** Well-known key shapes: AWS, GitHub, Slack, Google, Stripe, JSON web tokens, PEM. */
const KNOWN_SHAPE =
  /\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|xox[abeprs]-[\w-]{10,}|AIza[\w-]{30,}|[rs]k_(?:live|test)_\w{10,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)|-----BEGIN[\s\S]*/g;

/** Control characters become spaces, credentials `[redacted]`, and the rest is cut at 200 characters. */
export function redactValue(value: string): string {
  return (
    value
      // eslint-disable-next-line no-control-regex -- control characters are what it looks for
      .replace(/[\u0000-\u001f\u007f]+/g, ' ')
      .trim()
      .replace(URL_CREDENTIALS, '$1[redacted]@')
      .replace(NAMED_SECRET, '$1$2[redacted]')
      .replace(KNOWN_SHAPE, '[redacted]')
      .slice(0, MAX_LENGTH)
  );
}
