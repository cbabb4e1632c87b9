#!/usr/bin/env node
/** The `leakline` command: the only reader of arguments and environment, the only place that wires rooms together and exits. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { LeaklineError } from '../shared/errors.ts';
import type { BacktestFlags } from './cli/backtest.ts';
import type { DeadLetterFlags } from './cli/dead-letters.ts';
import { createContext, packageVersion, stopOnSignals, type Context, type GlobalFlags } from './cli/context.ts';
import { DEFAULT_CONSOLE_URL } from './cli/console-url.ts';

/** 0 fine, 1 the answer is "no", 2 usage or configuration, 3 a dependency is unreachable. */
const EXIT = { fine: 0, no: 1, usage: 2, unreachable: 3 } as const;

const env = process.env;

/** Opens a context, runs the command body, and always stops what was started. */
async function withContext(flags: Record<string, unknown>, body: (context: Context) => Promise<unknown>, quiet = false): Promise<void> {
  const level = quiet && env['LEAKLINE_LOG_LEVEL'] === undefined ? { 'log.level': 'warn' } : {};
  const context = createContext(globals(), { ...level, ...flags }, env);
  stopOnSignals(context);
  try {
    await body(context);
  } catch (error) {
    // What breaks off because somebody asked to stop is no failure.
    if (!context.lifecycle.stopping.aborted) throw error;
  } finally {
    await context.lifecycle.stop();
  }
}

const program = new Command('leakline')
  .description('Fleet-wide memory-leak telemetry with alerting.')
  .version(packageVersion())
  .option('--config <file>', 'configuration file (default: leakline.yaml where it exists)')
  .exitOverride()
  .configureHelp({ showGlobalOptions: true })
  .showHelpAfterError('(leakline --help lists the commands)');

const globals = (): GlobalFlags => program.opts<GlobalFlags>();

/** Seconds stand for minutes, and a limit gives the demo programs a time to run out at. */
const DEMO_SETTINGS = { profile: 'minutes', 'agent.interval': '1s', 'detector.defaultMemoryLimit': '256MiB' };

program
  .command('up')
  .description('run everything but agents in one process, with the embedded store')
  .option('--data <dir>', 'directory of the embedded store')
  .option('--listen <host:port>', 'address of the page, the API and the intake')
  .option('--agent', 'also watch the processes of this machine')
  .option('--demo', 'also start three small programs, two of which leak, and tell how the detector sees them')
  .option('--no-demo', 'no demo programs')
  .action(async (options: { data?: string; listen?: string; agent?: boolean; demo?: boolean }) => {
    const demo = options.demo === true;
    const ephemeral = demo && options.data === undefined && env['LEAKLINE_DATA'] === undefined;
    const flags = {
      data: ephemeral ? join(tmpdir(), `leakline-demo-${process.pid}`) : options.data,
      listen: options.listen,
      ...(demo ? DEMO_SETTINGS : {}),
    };
    await withContext(
      flags,
      async (context) => {
        const { runUp } = await import('./cli/up.ts');
        await runUp(context, { agent: options.agent === true, demo, ephemeral });
      },
      demo,
    );
  });

program
  .command('agent')
  .description('watch processes and send what they use')
  .option('--to <url>', 'gateway to send to')
  .option('--kafka <brokers>', 'send straight to Kafka, HOST:PORT,…')
  .option('--match <regex>', 'watch processes whose command line matches')
  .option('--interval <duration>', 'time between samples')
  .option('--service <name>', 'service name for every watched process')
  .option('--data <dir>', 'directory of the spool')
  .option('--once', 'take one sample and end')
  .option('--print', 'print samples instead of sending them')
  .option('--json', 'print JSON')
  .action(async (options: Record<string, string | boolean | undefined>) => {
    const flags = {
      'agent.to': options['to'],
      'agent.match': options['match'],
      'agent.interval': options['interval'],
      'agent.service': options['service'],
      data: options['data'],
      ...(options['kafka'] === undefined ? {} : { 'bus.kind': 'kafka', 'bus.brokers': options['kafka'] }),
    };
    await withContext(flags, async (context) => {
      const { runAgent } = await import('./cli/agent.ts');
      await runAgent(context, { once: options['once'] === true, print: options['print'] === true, json: options['json'] === true });
    });
  });

const service = (name: string, description: string) =>
  program
    .command(name)
    .description(description)
    .option('--kafka <brokers>', 'Kafka bootstrap brokers, HOST:PORT,…')
    .option('--store <url>', 'ClickHouse HTTP address')
    .option('--listen <host:port>', 'address to listen on');

interface ServiceOptions {
  readonly kafka?: string;
  readonly store?: string;
  readonly listen?: string;
}

const serviceFlags = (options: ServiceOptions) => ({
  listen: options.listen,
  'store.url': options.store,
  ...(options.kafka === undefined ? {} : { 'bus.kind': 'kafka', 'bus.brokers': options.kafka }),
});

service('gateway', 'take samples over HTTP and OTLP and put them on the bus').action(async (options: ServiceOptions) => {
  await withContext(serviceFlags(options), async (context) => {
    const { runGateway } = await import('./cli/fleet.ts');
    await runGateway(context);
  });
});

service('ingester', 'move samples from the bus into the store').action(async (options: ServiceOptions) => {
  await withContext(serviceFlags(options), async (context) => {
    const { runIngester } = await import('./cli/fleet.ts');
    await runIngester(context);
  });
});

service('detector', 'judge every service and tell people')
  .option('--once', 'evaluate once and end')
  .action(async (options: ServiceOptions & { once?: boolean }) => {
    await withContext(serviceFlags(options), async (context) => {
      const { runDetector } = await import('./cli/fleet.ts');
      await runDetector(context, { once: options.once === true });
    });
  });

service('console', 'serve the page, the API and SQL').action(async (options: ServiceOptions) => {
  await withContext(serviceFlags(options), async (context) => {
    const { runConsole } = await import('./cli/fleet.ts');
    await runConsole(context);
  });
});

program
  .command('store')
  .description('serve the embedded store in ClickHouse’s HTTP protocol, for separate services on one machine')
  .option('--data <dir>', 'directory of the embedded store')
  .option('--listen <host:port>', 'address to listen on')
  .action(async (options: { data?: string; listen?: string }) => {
    await withContext({ data: options.data, listen: options.listen }, async (context) => {
      const { runStore } = await import('./cli/store.ts');
      await runStore(context);
    });
  });

program
  .command('migrate')
  .description('create or upgrade the schema')
  .option('--store <url>', 'ClickHouse HTTP address')
  .action(async (options: { store?: string }) => {
    await withContext({ 'store.url': options.store }, async (context) => {
      const { runMigrate } = await import('./cli/store.ts');
      await runMigrate(context);
    });
  });

program
  .command('sql')
  .description('ask the history, read-only')
  .argument('<query>', 'one SELECT statement; see docs/sql.md')
  .option('--format <name>', 'output format', 'PrettyCompact')
  .option('--url <url>', 'console to ask', env['LEAKLINE_URL'] ?? DEFAULT_CONSOLE_URL)
  .option('--json', 'the same as --format JSON')
  .action(async (query: string, options: { format: string; url: string; json?: boolean }) => {
    const { askSql } = await import('./cli/console-client.ts');
    await askSql({ url: options.url, token: env['LEAKLINE_TOKEN'] }, query, options.json === true ? 'JSON' : options.format);
  });

program
  .command('status')
  .description('agents, lag, last evaluation, open incidents; ends with 1 on a problem, or a leak nobody has taken')
  .option('--url <url>', 'console to ask', env['LEAKLINE_URL'] ?? DEFAULT_CONSOLE_URL)
  .option('--json', 'print JSON')
  .action(async (options: { url: string; json?: boolean }) => {
    const { printStatus } = await import('./cli/console-client.ts');
    const isFine = await printStatus({ url: options.url, token: env['LEAKLINE_TOKEN'] }, options.json === true);
    if (!isFine) process.exitCode = EXIT.no;
  });

const deadLetters = program.command('dead-letters').description('messages that could not be taken: list them, send them again');
const selecting = (name: string, description: string) =>
  deadLetters
    .command(name)
    .description(description)
    .option('--reason <code>', 'only those with this code or named reason')
    .option('--since <duration>', 'only those that arrived within the last 1h, 2d …')
    .option('--limit <count>', 'at most so many, newest first', '100')
    .option('--url <url>', 'console to ask', env['LEAKLINE_URL'] ?? DEFAULT_CONSOLE_URL)
    .option('--json', 'print JSON');
const consoleAt = (url: string) => ({ url, token: env['LEAKLINE_TOKEN'] });

selecting('list', 'what could not be taken, and why').action(async (options: DeadLetterFlags & { url: string }) => {
  const { printDeadLetters } = await import('./cli/dead-letters.ts');
  await printDeadLetters(consoleAt(options.url), options);
});

selecting('replay', 'send dead letters again, by id or by --reason and --since those never sent again')
  .argument('[ids...]', 'ids as list shows them')
  .action(async (ids: string[], options: DeadLetterFlags & { url: string }) => {
    const { replayDeadLetters } = await import('./cli/dead-letters.ts');
    if (!(await replayDeadLetters(consoleAt(options.url), ids, options))) process.exitCode = EXIT.no;
  });

program
  .command('backup')
  .description('save a copy of the embedded store while it runs')
  .argument('<to>', 'file to write, or a folder for one that is named after the moment')
  .option('--url <url>', 'console to ask', env['LEAKLINE_URL'] ?? DEFAULT_CONSOLE_URL)
  .action(async (to: string, options: { url: string }) => {
    const { saveBackup } = await import('./cli/backup.ts');
    await saveBackup(consoleAt(options.url), to);
  });

program
  .command('restore')
  .description('make the embedded store from a backup')
  .argument('<from>', 'file made by leakline backup')
  .option('--data <dir>', 'directory the embedded store is made in')
  .action(async (from: string, options: { data?: string }) => {
    const [{ restoreBackup }, { configFrom }] = await Promise.all([import('./cli/backup.ts'), import('./cli/context.ts')]);
    await restoreBackup(configFrom(globals(), { data: options.data }, env), from);
  });

program
  .command('backtest')
  .description('judge history: what would have been found, and when, beside what two rules in use would have said')
  .argument('[files...]', 'CSV or NDJSON, also .gz, or folders of them')
  .option('--map <column=name>', 'a column under another name in the files, such as rss=container_memory_rss; may be repeated', collect, [])
  .option('--prometheus <url>', 'read from a Prometheus API instead; its token: LEAKLINE_BACKTEST_PROMETHEUS_TOKEN or …_TOKEN_FILE')
  .option('--query <column=promql>', 'what to read: rss=…, limit=…, heap_used=…; without a column it is rss; may be repeated', collect, [])
  .option('--from <time>', 'begin, ISO 8601 or a duration before --to', '14d')
  .option('--to <time>', 'end, ISO 8601 (default: now)')
  .option('--resolution <duration>', 'time between samples', '1m')
  .option('--service-label <label>', 'label that names the service (default: container, app, service, job: the first there is)')
  .option('--instance-label <label>', 'label that names the process (default: pod, instance)')
  .option('--step <duration>', 'time between evaluations', '5m')
  .option('--out <file>', 'write findings as NDJSON')
  .option('--report <file>', 'draw the curves with what was found: .html or .png')
  .addOption(new Option('--alerts <how>', 'how soon to tell').choices(['few', 'normal', 'early']))
  .option('--json', 'print findings as NDJSON')
  .action(async (files: string[], options: BacktestFlags & { alerts?: string }) => {
    const { runBacktestCommand } = await import('./cli/backtest.ts');
    const { configFrom } = await import('./cli/context.ts');
    await runBacktestCommand(configFrom(globals(), { 'detector.alerts': options.alerts }, env), files, options);
  });

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

const configCommand = program.command('config').description('check, print or explain the configuration');
configCommand
  .command('check')
  .description('load the configuration and report every mistake')
  .action(async () => {
    const { configFrom } = await import('./cli/context.ts');
    configFrom(globals(), {}, env);
    process.stdout.write('configuration is fine\n');
  });
configCommand
  .command('print')
  .description('print the configuration in force, secrets replaced')
  .option('--json', 'print JSON')
  .action(async (options: { json?: boolean }) => {
    const [{ configFrom }, { printConfig }] = await Promise.all([import('./cli/context.ts'), import('./cli/config-docs.ts')]);
    process.stdout.write(printConfig(configFrom(globals(), {}, env), options.json === true));
  });
configCommand
  .command('docs')
  .description('every key, its default, its unit and its environment variable')
  .action(async () => {
    const { configDocs } = await import('./cli/config-docs.ts');
    process.stdout.write(configDocs());
  });

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.fine : EXIT.usage;
  if (!(error instanceof LeaklineError)) return EXIT.no;
  switch (error.code) {
    case 'LKL_ERR_CONFIG':
    case 'LKL_ERR_USAGE':
    case 'LKL_ERR_HISTORY_FILE':
    case 'LKL_ERR_BACKUP':
    case 'LKL_ERR_UNAUTHORIZED':
      return EXIT.usage;
    case 'LKL_ERR_BUS_UNAVAILABLE':
    case 'LKL_ERR_STORE_UNAVAILABLE':
    case 'LKL_ERR_UNREACHABLE':
      return EXIT.unreachable;
    default:
      return EXIT.no;
  }
}

function report(error: unknown): void {
  if (error instanceof CommanderError) return;
  if (error instanceof LeaklineError) process.stderr.write(`leakline: ${error.message} [${error.code}]\n`);
  else process.stderr.write(`leakline: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
}

try {
  await program.parseAsync();
  process.exitCode ??= EXIT.fine;
} catch (error) {
  report(error);
  process.exitCode = exitCodeOf(error);
}
// Native handles (the embedded engine, sockets kept alive) must not hold a finished command open.
process.exit();
