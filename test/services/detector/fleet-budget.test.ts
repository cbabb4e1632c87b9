import { describe, expect, it } from 'vitest';
import { leastConfidence } from '../../../services/detector/fleet-budget.ts';
import { policyFor } from '../../../services/detector/policy.ts';

const normal = policyFor('production');
const ask = (services: number, discoveries = 0, policy = normal) => leastConfidence({ services, discoveries }, policy);

describe('the budget of false alarms of a fleet', () => {
  it('asks nothing beyond the finding in a small fleet', () => {
    expect(ask(1)).toBe(0);
    expect(ask(50)).toBe(0);
  });

  it('asks for more the more services there are, and less the more of them leak', () => {
    expect(ask(100)).toBeCloseTo(0.97, 3);
    expect(ask(200)).toBeCloseTo(0.985, 3);
    expect(ask(200, 20)).toBeCloseTo(0.97, 3);
    expect(ask(200, 40)).toBe(0);
  });

  it('never asks for what no finding can have', () => {
    expect(ask(1_000_000)).toBe(0.99);
  });

  it('follows the knob', () => {
    expect(ask(40, 0, policyFor('production', 'few'))).toBeGreaterThan(ask(40));
    expect(ask(70, 0, policyFor('production', 'early'))).toBeLessThan(ask(70));
  });
});
