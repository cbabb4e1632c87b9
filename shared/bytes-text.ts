/** Bytes as people read them: decimal units, two digits where they are small, no false precision. Pure. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** The value in the unit that suits its size. */
export function scaledBytes(bytes: number): { value: number; unit: string } {
  let value = Math.abs(bytes);
  let unit = 0;
  // 999.5 would be written as 1000.
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return { value, unit: UNITS[unit] ?? '' };
}

export const bytesDigits = (value: number, unit: string): string => value.toFixed(value < 9.95 && unit !== 'B' ? 1 : 0);

/** Pages and messages have their own minus and space; terminals and files plain ones. */
export function bytesText(bytes: number, { minus = '-', space = ' ' } = {}): string {
  const { value, unit } = scaledBytes(bytes);
  return `${bytes < 0 ? minus : ''}${bytesDigits(value, unit)}${space}${unit}`;
}
