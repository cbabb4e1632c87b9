#!/usr/bin/env bash
# A single Kafka broker (KRaft) on loopback from Maven's jars: infra/kafka/start.sh [PORT] [DATA_DIR]
# PORT: 9092 unless said, and the next one for the controller. DATA_DIR: a temporary folder, removed at the end, unless said. Ctrl-C stops it cleanly.
# Prints "kafka ready on 127.0.0.1:PORT" on standard output once it takes connections. Needs Java 17 or newer and Maven.
set -euo pipefail

port=${1:-9092}
here=$(cd "$(dirname "$0")" && pwd)

for tool in java mvn; do
  command -v "$tool" >/dev/null || { echo "start.sh: $tool is missing: install Java 17 or newer and Maven" >&2; exit 3; }
done

if [ $# -ge 2 ]; then
  data=$2
  mkdir -p "$data"
else
  data=$(mktemp -d "${TMPDIR:-/tmp}/leakline-kafka.XXXXXX")
  remove=$data
fi

# The class path is worked out once per pom: Maven takes seconds even when every jar is there.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/leakline
mkdir -p "$cache"
classpath=$cache/kafka-$(cksum <"$here/pom.xml" | tr ' ' '-').classpath
first_jar=$(cut -d: -f1 "$classpath" 2>/dev/null || true)
if [ -z "$first_jar" ] || [ ! -f "$first_jar" ]; then
  echo "start.sh: fetching the broker's jars" >&2
  mvn -B -q -f "$here/pom.xml" dependency:build-classpath -Dmdep.outputFile="$classpath.$$" >&2
  mv "$classpath.$$" "$classpath"
fi

controller_port=$((port + 1))
cat >"$data/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$data/log
auto.create.topics.enable=false
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=100
group.min.session.timeout.ms=1000
message.max.bytes=8388608
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=2
PROPERTIES

java=(java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.awt.headless=true
  -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$(cat "$classpath")")

if [ ! -f "$data/log/meta.properties" ]; then
  "${java[@]}" kafka.tools.StorageTool format --ignore-formatted --cluster-id bGVha2xpbmUtZGV2LWtrYQ --config "$data/server.properties" >&2
fi
"${java[@]}" kafka.Kafka "$data/server.properties" >&2 &
broker=$!
stop() {
  trap - EXIT INT TERM
  kill "$broker" 2>/dev/null || true
  wait "$broker" 2>/dev/null || true
  [ -z "${remove:-}" ] || rm -rf "$remove"
}
trap 'stop; exit 0' INT TERM
trap stop EXIT

until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
  kill -0 "$broker" 2>/dev/null || { echo "start.sh: the broker ended before it took connections" >&2; exit 1; }
  sleep 0.2
done
echo "kafka ready on 127.0.0.1:$port"
wait "$broker"
