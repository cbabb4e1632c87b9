/** A curve as one line of text, for channels and moments without a picture. Pure. */

const STEPS = '▁▂▃▄▅▆▇█';

/** At most `width` characters; each is the mean of its share of the values. Empty where there is nothing to show. */
export function sparkline(values: ArrayLike<number>, width = 32): string {
  const known = Array.from(values).filter(Number.isFinite);
  if (known.length < 2) return '';
  const count = Math.min(width, known.length);
  const means = Array.from({ length: count }, (_, index) => {
    const part = known.slice(Math.floor((index * known.length) / count), Math.floor(((index + 1) * known.length) / count));
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
  const low = Math.min(...means);
  const span = Math.max(...means) - low;
  return means.map((value) => STEPS[span === 0 ? 0 : Math.round(((value - low) / span) * (STEPS.length - 1))] ?? '').join('');
}
