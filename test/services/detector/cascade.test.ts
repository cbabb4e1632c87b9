/** Wide readings kept once for all widths they fill must leave behind what keeping them at each width does. */
import { expect, it } from 'vitest';
import { Cascade } from '../../../services/detector/cascade.ts';
import { policyFor } from '../../../services/detector/policy.ts';
import { newReading, type Resolution } from '../../../services/detector/resolution.ts';
import { noise, START } from './series-of.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const { levelMs } = policyFor('production');

const known = (level: Resolution) => ({
  time: level.time,
  floor: level.floor,
  heapUsed: level.heapUsed.slice(0, level.time.length),
  heapLive: level.heapLive.slice(0, level.time.length),
  heapHigh: level.heapHigh.slice(0, level.time.length),
  load: level.load.slice(0, level.time.length),
  first: [level.firstTime, level.firstFloor, level.closed],
  highest: level.time.map((_, index) => [level.held(index), level.excursion(index), level.rise(index)]),
});

/** One that is told how wide readings are, and one that is told each is of the finest width, so that it keeps every level by itself. */
class Pair {
  readonly one = new Cascade(levelMs);
  readonly each = new Cascade(levelMs);
  grown = [0, 0];

  add(time: number, widthMs: number): void {
    const step = (time - START) / MINUTE;
    const reading = { ...newReading(), time, memory: 200 + 50 * Math.sin(step / 700) + 20 * noise(step), heapHigh: step };
    // A heap that is told from some day on, and not always.
    if (step > 4000 && noise(3 * step) > -0.5) Object.assign(reading, { heapUsed: 100 + noise(step + 1), heapLive: 90 + noise(step + 2) });
    if (noise(5 * step) > -0.8) Object.assign(reading, { loadSum: 10 + noise(step), loadCount: 1 });
    this.#note(this.one.add(reading, widthMs), this.each.add(reading, MINUTE));
  }

  advance(at?: number): void {
    this.#note(this.one.advance(at), this.each.advance(at));
    // Blocks may close a little later, but not later than this.
    expect(this.grown[0]).toBe(this.grown[1]);
    this.grown = [0, 0];
  }

  leaveOut(below: number): void {
    this.#note(this.one.leaveOut(below), this.each.leaveOut(below));
  }

  #note(one: number, each: number): void {
    this.grown = [(this.grown[0] as number) | one, (this.grown[1] as number) | each];
  }

  expectSame(): void {
    expect(this.one.levels.map(known)).toEqual(this.each.levels.map(known));
  }
}

const hour = (number: number) => START + number * HOUR;

it.each([1, 2, 5, 70, 200, 330])('of hours, asked after %i of them', (count) => {
  const pair = new Pair();
  for (let number = 0; number < count; number += 1) {
    if (noise(11 * number) > 0.9) continue;
    pair.add(hour(number), HOUR);
    if (number % 3 === 0) pair.advance(hour(number + 1));
  }
  // As a lifetime does when it ends: its last block stays open.
  pair.advance();
  pair.expectSame();
  for (let number = count; number < count + 200; number += 1) pair.add(hour(number), HOUR);
  pair.advance(hour(count + 200));
  pair.expectSame();
});

it('a wide level is told without taking the finer ones apart', () => {
  const pair = new Pair();
  const wide = levelMs.indexOf(2 * HOUR);
  for (let number = 0; number < 300; number += 1) {
    pair.add(hour(number), HOUR);
    pair.advance(hour(number + 1));
    expect(known(pair.one.level(wide))).toEqual(known(pair.each.level(wide)));
  }
  expect(known(pair.one.level(0))).toEqual(known(pair.each.level(0)));
  pair.expectSame();
});

it.each([0, 1])('of hours and then minutes, closed before by %i', (closed) => {
  const pair = new Pair();
  for (let number = 0; number < 150; number += 1) pair.add(hour(number), HOUR);
  if (closed === 1) pair.advance(hour(150));
  for (let minute = 0; minute < 500; minute += 1) {
    pair.add(hour(150) + minute * MINUTE, MINUTE);
    if (minute % 5 === 4) pair.advance(hour(150) + (minute + 1) * MINUTE);
  }
  pair.expectSame();
});

it('of an hour that is looked at before it is over', () => {
  const pair = new Pair();
  for (let number = 0; number < 90; number += 1) pair.add(hour(number), HOUR);
  pair.advance(hour(89) + 12 * MINUTE);
  pair.add(hour(90), HOUR);
  pair.advance(hour(91));
  pair.expectSame();
});

it.each([2, 5, 7])('of hours whose finest %i widths are left out', (below) => {
  const pair = new Pair();
  for (let number = 0; number < 80; number += 1) pair.add(hour(number), HOUR);
  pair.leaveOut(below);
  expect(pair.one.finest).toBe(below);
  for (let number = 80; number < 160; number += 1) {
    pair.add(hour(number), HOUR);
    pair.advance(hour(number + 1));
  }
  for (let minute = 0; minute < 300; minute += 5) pair.add(hour(160) + minute * MINUTE, MINUTE);
  pair.advance(hour(165));
  pair.expectSame();
});

it('of hours that begin after the finest widths were left out', () => {
  const pair = new Pair();
  pair.leaveOut(levelMs.indexOf(4 * HOUR));
  for (let number = 0; number < 120; number += 1) pair.add(hour(number), HOUR);
  pair.advance(hour(120));
  pair.expectSame();
});
