#!/bin/bash
# usage: run.sh name base [count] [family]
cd /work/h/x
npx tsx test/eval/eval.ts --part dev --count ${3:-36} --family "${4:-.}" --show > /tmp/dev/$1.txt 2>&1
python3 /tmp/dev/cmp.py $2 $1
