/** Leaks outside the JavaScript heap from the middle of the run on: uploads stay in Buffers after they were stored. */
import { heapBlock, KIB, load, number, random, tellLeak } from './service.mjs';

const uploadBytes = number('UPLOAD_KIB', 48) * KIB;
const uploadsPerSecond = number('UPLOADS_PER_SECOND', 5);
const onsetSeconds = number('ONSET_SECONDS', 200);

const uploads = [];
let told = false;

load(
  () => uploadsPerSecond,
  (seconds) => {
    heapBlock(20 * KIB);
    uploads.push(Buffer.alloc(Math.round(uploadBytes * (0.5 + random())), 'upload'));
    if (seconds < onsetSeconds) uploads.length = Math.min(uploads.length, 40);
    else if (!told) {
      tellLeak('native', uploadsPerSecond * uploadBytes);
      told = true;
    }
  },
);
