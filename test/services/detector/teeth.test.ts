import { expect, it } from 'vitest';
import { Teeth } from '../../../services/detector/teeth.ts';
import { noise } from './series-of.ts';

function teethOf(level: (index: number) => number, samples = 600): Teeth {
  const teeth = new Teeth();
  for (let index = 0; index < samples; index += 1) teeth.add(level(index));
  return teeth;
}

it('sees a sawtooth that climbs slowly and falls at once, also while its floor rises', () => {
  expect(teethOf((index) => 100 + (index % 20) + 0.3 * noise(index)).seen).toBe(true);
  expect(teethOf((index) => 100 + (index % 20) + 0.05 * index).seen).toBe(true);
});

it('takes neither noise nor a ramp nor bursts for a collector', () => {
  expect(teethOf((index) => 100 + noise(index)).seen).toBe(false);
  expect(teethOf((index) => 100 + 0.1 * index).seen).toBe(false);
  expect(teethOf((index) => 100 + 20 * Math.exp(-(index % 50) / 8)).seen).toBe(false);
});

it('takes a level sampled more slowly than it is collected for one', () => {
  expect(teethOf((index) => 100 + 8 * noise(index)).seen).toBe(true);
  expect(teethOf((index) => 100 + 8 * noise(index), 25).seen).toBe(true);
  expect(teethOf((index) => 100 + noise(index), 25).seen).toBe(false);
});

it('says nothing of a shape before an hour of minutes, and nothing of unknown levels', () => {
  expect(teethOf((index) => 100 + (index % 20), 50).seen).toBe(false);
  expect(teethOf(() => Number.NaN).seen).toBe(false);
});
