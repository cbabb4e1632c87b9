/**
 * A name for the program behind a command line. Pure: no file is read here, and code given by `-e` or `-c` is never looked at.
 * A `generic` name (main, app, server …) is one that many programs share: any better source goes before it.
 */
import { dirname, resolve } from 'node:path/posix';

export interface CommandName {
  readonly name: string;
  readonly generic: boolean;
  readonly version?: string;
  /** Directory in which (or above which) a package.json would name the program better; only for Node programs. */
  readonly packageDirectory?: string;
}

const GENERIC =
  /^(?:__main__|api|app|application|asgi|bin|bootstrap|build|boot|cli|code|current|dist|entrypoint|home|index|java|jarlauncher|launcher|lib|main|manage|node|opt|out|program|python|root|ruby|run|runner|server|service|src|srv|start|startup|target|tmp|usr|var|web|worker|workspace|wsgi|www)$/i;
const LAUNCHERS = /^(?:npm|npx|yarn|pnpm|corepack|nodemon|pm2|forever|tsx|ts-node)$/;
const WEB_SERVERS = /^(?:gunicorn|uvicorn|hypercorn|daphne|granian)$/;
/** `module.path:attribute` as WSGI and ASGI servers take it; `localhost:8000` is none, an attribute starts with a letter. */
const APPLICATION = /^([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(?:\(.*\))?$/;

/** Options whose value is the next argument, so it is not the script. */
const VALUED = {
  node: /^(?:-r|--require|--import|--loader|--experimental-loader|-C|--conditions|--title|--input-type|--env-file|--inspect-port)$/,
  python: /^-[WX]$/,
  java: /^(?:-cp|-classpath|--class-path|-p|--module-path|--add-modules|--add-opens|--add-exports|--add-reads|--upgrade-module-path)$/,
  ruby: /^-[rICEW]$/,
} as const;

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const named = (name: string, more: Partial<CommandName> = {}): CommandName => ({ name, generic: GENERIC.test(name), ...more });

/** The last directory of a path that is more than a build folder; undefined when there is none. */
function telling(directory: string): string | undefined {
  return directory
    .split('/')
    .reverse()
    .find((part) => part !== '' && !GENERIC.test(part) && !/^(?:site-packages|node_modules|\.venv|venv)$/.test(part));
}

function fromScript(script: string, cwd: string, extension: RegExp): CommandName {
  const name = baseName(script).replace(extension, '');
  if (!GENERIC.test(name)) return named(name);
  const directory = telling(dirname(resolve(cwd, script)));
  return { name: directory ?? name, generic: directory === undefined };
}

/** First argument that is neither an option nor an option's value. */
function firstPositional(args: readonly string[], valued: RegExp): number {
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (!arg.startsWith('-') || arg === '-') return i;
    if (arg === '--') return i + 1;
    if (valued.test(arg)) i++;
  }
  return args.length;
}

function nodeName(args: readonly string[], cwd: string): CommandName {
  const rest = args[0] === 'run' ? args.slice(1) : args;
  if (rest.some((arg) => /^(?:-e|-p|-pe|--eval|--print)$/.test(arg))) return named('node');
  const script = rest[firstPositional(rest, VALUED.node)];
  if (script === undefined) return named('node');
  const path = resolve(cwd, script);
  const tool = baseName(script).replace(/\.[cm]?[jt]sx?$/, '');
  if (LAUNCHERS.test(tool) || path.includes('/npm-cli')) return named(LAUNCHERS.test(tool) ? tool : 'npm');
  // A tool of the project (next, nest …) runs for the project whose directory it was started in.
  if (path.includes('/node_modules/')) return { ...named(tool), packageDirectory: cwd };
  return { ...fromScript(script, cwd, /\.[cm]?[jt]sx?$/), packageDirectory: dirname(path) };
}

function moduleName(module: string): CommandName {
  const parts = module.split('.');
  while (parts.length > 1 && GENERIC.test(parts.at(-1)!)) parts.pop();
  return named(parts[0]!);
}

/** gunicorn, uvicorn and their like, or celery; undefined when the program is none of them. */
function pythonServer(program: string, args: readonly string[]): CommandName | undefined {
  if (WEB_SERVERS.test(program)) {
    const application = args.map((arg) => APPLICATION.exec(arg)?.[1]).find((module) => module !== undefined);
    const last = args.at(-1);
    if (application !== undefined) return moduleName(application);
    return last !== undefined && /^[A-Za-z_][\w.]*$/.test(last) ? moduleName(last) : { name: program, generic: true };
  }
  if (program !== 'celery') return undefined;
  const at = args.findIndex((arg) => arg === '-A' || arg === '--app');
  const app = at >= 0 ? args[at + 1] : args.find((arg) => arg.startsWith('--app='))?.slice(6);
  const role = args.find((arg) => /^(?:worker|beat|flower)$/.test(arg));
  const { name, generic } = moduleName(app?.replace(/:.*$/, '') ?? 'celery');
  return { name: role === undefined ? name : `${name}-${role}`, generic };
}

function pythonName(args: readonly string[], cwd: string): CommandName {
  const module = args.findIndex((arg) => /^-[A-Za-z]*m$/.test(arg));
  const code = args.findIndex((arg) => /^-[A-Za-z]*c$/.test(arg));
  const script = firstPositional(args, VALUED.python);
  if (code >= 0 && code < script) return named('python');
  if (module >= 0 && module < script) {
    const name = (args[module + 1] ?? 'python').replace(/\.__main__$/, '');
    return pythonServer(name, args.slice(module + 2)) ?? named(name);
  }
  const path = args[script];
  if (path === undefined) return named('python');
  return pythonServer(baseName(path), args.slice(script + 1)) ?? fromScript(path, cwd, /\.py[cw]?$/);
}

function javaName(args: readonly string[]): CommandName {
  for (const property of ['-Dotel.service.name=', '-Dspring.application.name=']) {
    const value = args.find((arg) => arg.startsWith(property))?.slice(property.length);
    if (value !== undefined && value !== '') return { name: value, generic: false };
  }
  const at = firstPositional(args, VALUED.java);
  const jar = args.indexOf('-jar');
  if (jar >= 0 && jar <= at) {
    const [, name = '', version] = /^(.*?)(?:-(\d[\w.+-]*))?$/.exec(baseName(args[jar + 1] ?? 'java').replace(/\.[jw]ar$/, ''))!;
    return named(name, version === undefined ? {} : { version });
  }
  const main = args[at] ?? 'java';
  return named(main.slice(Math.max(main.lastIndexOf('.'), main.lastIndexOf('/')) + 1));
}

/** Processes that wrote their own title: `gunicorn: worker [shop.wsgi:app]`, `puma 6.4 (tcp://…) [shop]`, `postgres: writer`. */
function titleName(title: string): CommandName {
  const program = /^[^\s:]*/.exec(title)![0];
  const bracketed = /\[([A-Za-z_][\w.-]*)(?::[A-Za-z_]\w*)?\]\s*$/.exec(title)?.[1];
  if (WEB_SERVERS.test(program) && bracketed !== undefined) return moduleName(bracketed);
  if (program === 'puma' && bracketed !== undefined) return named(bracketed);
  const sidekiq = /^sidekiq [\d.]+ ([A-Za-z_][\w-]*) /.exec(title)?.[1];
  return named(sidekiq === undefined ? baseName(program) : `${sidekiq}-sidekiq`);
}

/** `argv` as in /proc/PID/cmdline; `cwd` where known, else `/`. undefined when the command line is empty. */
export function nameOfCommand(argv: readonly string[], cwd: string): CommandName | undefined {
  const [first = '', ...args] = argv;
  if (first === '') return undefined;
  if (first.includes(' ') || first.endsWith(':')) return titleName(first);
  const program = baseName(first).replace(/^-/, '');
  if (/^(?:node|nodejs|bun|deno)(?:-?\d[\d.]*)?$/.test(program)) return nodeName(args, cwd);
  if (/^(?:python|pypy)[\d.]*$/.test(program)) return pythonName(args, cwd);
  if (program === 'java') return javaName(args);
  if (program === 'dotnet') return fromScript(args.find((arg) => arg.endsWith('.dll')) ?? 'dotnet', cwd, /\.dll$/);
  if (/^(?:ruby|perl|php)[\d.]*$/.test(program)) {
    const script = args[firstPositional(args, VALUED.ruby)];
    return script === undefined || args.includes('-e') ? named(program) : fromScript(script, cwd, /\.(?:rb|pl|php)$/);
  }
  return pythonServer(program, args) ?? named(program);
}

const SHELLS = /^-?(?:sh|bash|dash|ash|zsh|ksh|busybox)$/;
const SHIMS =
  /^(?:catatonit|chpst|docker-init|dumb-init|env|gosu|nice|nohup|pause|runuser|s6-[\w-]+|setpriv|setsid|su|su-exec|sudo|timeout|tini|tini-static|xargs)$/;

/**
 * Programs that only start others and wait: they carry the environment of the service (its name too) but none of its memory,
 * and would pass for a second instance of it. A shell running a script file is a program of its own.
 */
export function isLauncher(argv: readonly string[]): boolean {
  const [first = '', ...args] = argv;
  const program = baseName(first);
  if (SHELLS.test(program)) return args.some((arg) => /^-[a-z]*c$/.test(arg));
  if (SHIMS.test(program)) return true;
  // npm writes "npm start" as its title; npx, yarn and pnpm are seen as `node …/npx-cli.js` or `node …/bin/yarn`.
  if (/^(?:npm|npx|yarn|pnpm) /.test(first)) return true;
  return /^node/.test(program) && args.some((arg) => /\/(?:npm|npx|yarn|pnpm)(?:-cli)?(?:\.c?js)?$/.test(arg));
}

/** The port the command line asks for: what tells replicas of one program on one host apart. */
export function portOfCommand(argv: readonly string[]): number | undefined {
  for (let i = 1; i < argv.length; i++) {
    const arg = argv[i]!;
    const inline = /^(?:--(?:http-|server[.-])?port=|-Dserver\.port=|(?:-b|--bind|--listen)=?[^\s=]*:)(\d{2,5})$/.exec(arg)?.[1];
    const option = /^(?:--(?:http-|server[.-])?port|-p|-b|--bind|--listen)$/.test(arg)
      ? /^(?:[^\s]*:)?(\d{2,5})$/.exec(argv[i + 1] ?? '')?.[1]
      : undefined;
    const port = Number(inline ?? option ?? 0);
    if (port > 0 && port < 65_536) return port;
  }
  return undefined;
}
