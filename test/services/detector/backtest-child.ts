/** Judges files in a process of its own and tells what it took: `backtest-child.ts FILE…`. */
import { runBacktest } from '../../../services/detector/backtest.ts';
import { policyFor } from '../../../services/detector/policy.ts';

const { rows, findings, skipped } = await runBacktest({
  files: process.argv.slice(2),
  stepMs: 300_000,
  policy: policyFor('production'),
});
process.send?.({ rows, skipped, findings, peakRssBytes: process.resourceUsage().maxRSS * 1024 });
process.disconnect();
