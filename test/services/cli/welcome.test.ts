import { expect, it } from 'vitest';
import { welcome } from '../../../services/cli/welcome.ts';

const started = { url: 'http://127.0.0.1:8420', data: 'leakline-data', isWatching: true, isOpen: true };

const commandsOf = (text: string) => text.split('\n').filter((line) => line.startsWith('  '));

it('names the page, and commands that work as they stand', () => {
  const text = welcome(started);
  expect(text).toMatch(/^leakline is up: open http:\/\/127\.0\.0\.1:8420\n/);
  expect(commandsOf(text)).toEqual([
    '  npx leakline status',
    `  npx leakline sql "SELECT service, verdict, explanation FROM trends WHERE instance = ''"`,
  ]);
});

it('begins with an agent where nothing is watched', () => {
  expect(commandsOf(welcome({ ...started, isWatching: false }))[0]).toBe('  npx leakline agent --to http://127.0.0.1:8420');
});

it('names the address where it is not the usual one', () => {
  for (const command of commandsOf(welcome({ ...started, url: 'http://127.0.0.1:9000' })))
    expect(command).toMatch(/ --url http:\/\/127\.0\.0\.1:9000$/);
});

it('asks for tokens where there are some', () => {
  const commands = commandsOf(welcome({ ...started, isWatching: false, isOpen: false }));
  expect(commands.map((command) => command.slice(0, command.indexOf('npx')))).toEqual([
    '  LEAKLINE_AGENT_TOKEN=… ',
    '  LEAKLINE_TOKEN=… ',
    '  LEAKLINE_TOKEN=… ',
  ]);
});
