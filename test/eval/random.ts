/** Seeded random numbers. `stretch` > 0 lets ranges reach beyond their ends, so that a held-back corpus is not a copy of the other. */

export interface Random {
  /** Uniform in [0, 1). */
  unit(): number;
  between(low: number, high: number): number;
  /** Log-uniform between two positive ends. */
  scale(low: number, high: number): number;
  int(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<Value>(values: readonly Value[]): Value;
  gauss(): number;
}

export function createRandom(seed: number, stretch = 0): Random {
  // mulberry32
  let state = seed >>> 0;
  const unit = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const stretched = () => (1 + 2 * stretch) * unit() - stretch;
  const scale = (low: number, high: number) => Math.exp(Math.log(low) + (Math.log(high) - Math.log(low)) * stretched());
  return {
    unit,
    between: (low, high) => {
      const value = low + (high - low) * stretched();
      // A range of positive values stays positive however far it is stretched.
      return low > 0 ? Math.max(value, 0.5 * low) : low === 0 ? Math.max(value, 0) : value;
    },
    scale,
    int: (low, high) => low + Math.floor(unit() * (high - low + 1)),
    chance: (probability) => unit() < probability,
    pick: (values) => values[Math.floor(unit() * values.length)] as (typeof values)[number],
    gauss: () => Math.sqrt(-2 * Math.log(1 - unit())) * Math.cos(2 * Math.PI * unit()),
  };
}
