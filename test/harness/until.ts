/** Waits for what a process outside this one will do: asks again until it is so, and says what it last saw when it never is. */
export async function until<Seen>(
  what: string,
  look: () => Promise<Seen>,
  isSo: (seen: Seen) => boolean,
  timeoutMs: number,
): Promise<Seen> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (isSo(seen)) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline)
      throw new Error(
        `${what}: not within ${timeoutMs / 1000} s; last seen: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
