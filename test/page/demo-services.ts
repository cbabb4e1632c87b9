/** The services of the demonstration fleet: how their memory moves and what a detector says of it. */
import type { GrowthKind, Verdict } from '../../shared/judgement.ts';
import type { Runtime } from '../../shared/sample.ts';

export interface DemoService {
  readonly name: string;
  readonly environment: string;
  readonly runtime: Runtime;
  readonly version: string;
  readonly oldVersion?: string;
  readonly deployHoursAgo?: number;
  readonly oomAfterHours?: number;
  readonly ageHours?: number;
  readonly instances: number;
  readonly podHash: string;
  readonly limitMb: number;
  readonly heapShare?: number;
  /** Relative spread of the noise. */
  readonly noise?: number;
  /** MB of anonymous memory by age of the process; `hour` is the hour since the epoch, for daily rhythm. */
  readonly level: (ageHours: number, isNew: boolean, hour: number) => number;
  readonly says: {
    readonly verdict: Verdict;
    readonly reason: string;
    readonly explanation: string;
    readonly slopeMbPerHour: number;
    readonly confidence: number;
    readonly kind?: GrowthKind;
    readonly waitingFor?: string;
    readonly limitMb?: number;
    readonly spread?: number;
  };
}

const warm = (ageHours: number, hours: number) => 1 - Math.exp(-ageHours / hours);
const daily = (hour: number) => Math.sin((hour / 24) * 2 * Math.PI);
/** Collections of a lazy heap: rises and falls by itself. */
const sawtooth = (ageHours: number, periodHours: number) => (ageHours % periodHours) / periodHours;

export const DEMO_SERVICES: readonly DemoService[] = [
  {
    name: 'checkout',
    environment: 'production',
    runtime: 'nodejs',
    version: '2.31.0',
    oldVersion: '2.30.4',
    deployHoursAgo: 15,
    instances: 3,
    podHash: '7d9f6c5b4',
    limitMb: 512,
    heapShare: 0.78,
    level: (age, isNew) => 118 + 34 * warm(age, 0.5) + (isNew ? 14.2 * age : 0),
    says: {
      verdict: 'leak',
      reason: 'keeps-growing',
      explanation: 'keeps growing',
      slopeMbPerHour: 14.2,
      confidence: 0.97,
      kind: 'heap',
      spread: 0.07,
    },
  },
  {
    name: 'image-resizer',
    environment: 'production',
    runtime: 'python',
    version: '0.9.17',
    instances: 2,
    podHash: '5c77b9d8f',
    limitMb: 1024,
    oomAfterHours: 19,
    heapShare: 0.3,
    level: (age) => 240 + 60 * warm(age, 0.7) + 37.6 * age,
    says: {
      verdict: 'leak',
      reason: 'keeps-growing',
      explanation: 'keeps growing',
      slopeMbPerHour: 37.6,
      confidence: 0.99,
      kind: 'native',
      spread: 0.05,
    },
  },
  {
    name: 'search-index',
    environment: 'production',
    runtime: 'jvm',
    version: '6.4.1',
    instances: 3,
    podHash: '6f8b7c9d5',
    limitMb: 4096,
    heapShare: 0.8,
    level: (age) => 1400 + 1650 * warm(age, 16),
    says: {
      verdict: 'growing',
      reason: 'levelling-off',
      explanation: 'levelling off near 3.1 GB',
      slopeMbPerHour: 6.1,
      confidence: 0.91,
      kind: 'heap',
      spread: 0.4,
    },
  },
  {
    name: 'recommendations',
    environment: 'production',
    runtime: 'python',
    version: '3.2.0',
    instances: 2,
    podHash: '9b8c7d6f5',
    limitMb: 2048,
    ageHours: 2.1,
    heapShare: 0.5,
    level: (age) => 420 + 240 * warm(age, 0.6) + 9 * age,
    says: {
      verdict: 'undecided',
      reason: 'too-short',
      explanation: 'grows 9.4 MB/h, seen for 52 min only',
      slopeMbPerHour: 9.4,
      confidence: 0.4,
      waitingFor: 'a longer stretch of growth',
      spread: 0.7,
    },
  },
  {
    name: 'notifications',
    environment: 'production',
    runtime: 'nodejs',
    version: '1.12.3',
    instances: 2,
    podHash: '66d5f4c3b',
    limitMb: 384,
    heapShare: 0.7,
    level: (age, _isNew, hour) => 96 + 30 * warm(age, 0.4) + 34 * (1 + daily(hour)),
    says: {
      verdict: 'growing',
      reason: 'follows-load',
      explanation: 'follows load: 410 kB per request/s',
      slopeMbPerHour: 2.2,
      confidence: 0.88,
      kind: 'heap',
      spread: 0.5,
    },
  },
  {
    name: 'payments',
    environment: 'production',
    runtime: 'jvm',
    version: '11.0.2',
    instances: 4,
    podHash: '84c6b5d7f',
    limitMb: 2048,
    heapShare: 0.85,
    level: (age) => 690 + 120 * warm(age, 1) + 260 * sawtooth(age, 2.3),
    says: { verdict: 'steady', reason: 'flat', explanation: 'floor flat near 812 MB for 46.5 h', slopeMbPerHour: 0.06, confidence: 0.98 },
  },
  {
    name: 'catalogue',
    environment: 'production',
    runtime: 'go',
    version: '1.48.2',
    instances: 3,
    podHash: '5d4c6b7f8',
    limitMb: 256,
    heapShare: 0.8,
    level: (age) => 84 + 20 * warm(age, 0.3) + 18 * sawtooth(age, 0.6),
    says: { verdict: 'steady', reason: 'flat', explanation: 'floor flat near 104 MB for 46.8 h', slopeMbPerHour: 0.01, confidence: 0.99 },
  },
  {
    name: 'web-frontend',
    environment: 'production',
    runtime: 'nodejs',
    version: '2026.11.21',
    oldVersion: '2026.11.18',
    deployHoursAgo: 31,
    instances: 3,
    podHash: '7b6c5d4f9',
    limitMb: 512,
    heapShare: 0.75,
    level: (age) => 150 + 62 * warm(age, 0.8),
    says: { verdict: 'steady', reason: 'flat', explanation: 'floor flat near 212 MB for 29.4 h', slopeMbPerHour: 0.03, confidence: 0.97 },
  },
  {
    name: 'ledger',
    environment: 'production',
    runtime: 'dotnet',
    version: '4.7.0',
    instances: 2,
    podHash: '8f7d6c5b9',
    limitMb: 1536,
    level: (age) => 520 + 90 * warm(age, 2),
    says: {
      verdict: 'steady',
      reason: 'within-earlier-levels',
      explanation: 'near 610 MB, no higher than it has been before',
      slopeMbPerHour: 0.4,
      confidence: 0.93,
    },
  },
  {
    name: 'geo-lookup',
    environment: 'production',
    runtime: 'native',
    version: '0.22.1',
    instances: 1,
    podHash: '6c5d7b8f4',
    limitMb: 0,
    level: (age) => 1180 + 8 * warm(age, 1),
    says: { verdict: 'steady', reason: 'flat', explanation: 'floor flat near 1.2 GB for 47.2 h', slopeMbPerHour: 0, confidence: 0.99 },
  },
  {
    name: 'checkout',
    environment: 'staging',
    runtime: 'nodejs',
    version: '2.31.1-rc.2',
    instances: 1,
    podHash: '4d5f6c7b8',
    limitMb: 512,
    ageHours: 5,
    heapShare: 0.75,
    level: (age) => 121 + 33 * warm(age, 0.5),
    says: { verdict: 'steady', reason: 'flat', explanation: 'floor flat near 154 MB for 3.9 h', slopeMbPerHour: 0.1, confidence: 0.86 },
  },
  {
    name: 'batch-import',
    environment: 'staging',
    runtime: 'ruby',
    version: '1.3.0',
    instances: 1,
    podHash: '9f8d7c6b5',
    limitMb: 768,
    ageHours: 0.4,
    level: (age) => 130 + 120 * warm(age, 0.3),
    says: {
      verdict: 'undecided',
      reason: 'warming-up',
      explanation: 'started recently, 220 MB so far',
      slopeMbPerHour: 0,
      confidence: 0.2,
      waitingFor: 'enough history after the warm-up',
    },
  },
];
