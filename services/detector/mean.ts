/** Arithmetic mean of what is asked of each item; NaN of none. */
export function meanOf<Item>(items: readonly Item[], value: (item: Item, position: number) => number): number {
  let sum = 0;
  for (const [position, item] of items.entries()) sum += value(item, position);
  return sum / items.length;
}
