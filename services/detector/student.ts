/** Student's t as the deviate of the normal law with the same tail (Wallace 1959; error < 2 % from two degrees on). */
export function studentZ(t: number, freedom: number): number {
  const scale = (8 * freedom + 1) / (8 * freedom + 3);
  return Math.sign(t) * scale * Math.sqrt(freedom * Math.log1p(t ** 2 / freedom));
}
