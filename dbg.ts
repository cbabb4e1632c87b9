import { makeCase } from './test/eval/corpus.ts';
import { detect } from './test/eval/walk.ts';
import { policyFor } from './services/detector/policy.ts';
const [family, seed, stretch='0.12'] = process.argv.slice(2);
const c = makeCase({family: family!, seed: Number(seed), stretch: Number(stretch)});
console.log(c.truth && {...c.truth, onset: new Date(c.truth.onsetAt).toISOString(), ex: new Date(c.truth.exhaustsAt).toISOString()}, c.lifetimes.length);
for (const l of c.lifetimes.slice(0,8)) console.log(l.instance, l.version, new Date(l.time[0]!).toISOString(), ((l.time.at(-1)!-l.time[0]!)/3.6e6).toFixed(1)+'h', l.time.length, 'limit', (l.limit/1e6).toFixed(0), 'heap', !!l.heapUsed, 'live', !!l.heapLive, 'load', !!l.load, [0,.1,.2,.3,.4,.5,.6,.7,.8,.9,.999].map(f=>{const n=Math.floor(f*l.time.length); const w=l.rss.slice(n, n+Math.max(3,Math.floor(l.time.length/60))); return (Math.min(...w)/1e6).toFixed(0)}).join(' '));
for (const j of detect(c, policyFor('production')).slice(0,6)) console.log(JSON.stringify(j));
