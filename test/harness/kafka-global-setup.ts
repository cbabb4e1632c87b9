/** One broker for all *.kafka.test.ts; tests find it with `inject('kafkaBrokers')` and keep to topics of their own. */
import type { TestProject } from 'vitest/node';
import { startKafka } from './kafka-broker.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    kafkaBrokers: string[];
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const broker = await startKafka();
  project.provide('kafkaBrokers', broker.brokers);
  return () => broker.stop();
}
