/**
 * A ClickHouse server for a test: a container where a Docker daemon answers and has the image, otherwise the same engine
 * embedded behind the same HTTP interface (`leakline store`). Says on stderr which.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GenericContainer, Wait } from 'testcontainers';
import { startStoreServer } from '../../services/store/store-server.ts';
import { createLog } from '../../shared/log.ts';

export interface ClickHouseServer {
  readonly url: string;
  stop(): Promise<void>;
}

const IMAGE = 'clickhouse/clickhouse-server:26.7';

export async function startClickHouse(): Promise<ClickHouseServer> {
  if (spawnSync('docker', ['image', 'inspect', IMAGE], { timeout: 10_000, stdio: 'ignore' }).status === 0) {
    const container = await new GenericContainer(IMAGE)
      .withExposedPorts(8123)
      .withEnvironment({ CLICKHOUSE_SKIP_USER_SETUP: '1' })
      .withWaitStrategy(Wait.forHttp('/ping', 8123))
      .start();
    process.stderr.write(`clickhouse: ${IMAGE} in Docker\n`);
    return {
      url: `http://${container.getHost()}:${container.getMappedPort(8123)}`,
      stop: async () => {
        await container.stop();
      },
    };
  }
  process.stderr.write(`clickhouse: no Docker daemon with ${IMAGE}, taking the embedded engine behind HTTP\n`);
  const path = mkdtempSync(join(tmpdir(), 'leakline-clickhouse-'));
  const server = await startStoreServer({ path, host: '127.0.0.1', port: 0, log: createLog({ level: 'silent', secrets: [] }) });
  return {
    url: server.url,
    stop: async () => {
      await server.close();
      rmSync(path, { recursive: true, force: true });
    },
  };
}
