// Follows server-sent events with the package `eventsource`, which reads and reconnects as browsers
// do, and prints one line of JSON for each of its events, in order:
//
//     {"open": true}                     a connection was answered
// {"id": "...", "data": "..."}       a message, with the id that the client holds as its last one
// {"error": ..., "closed": ...}      a connection broke off, or was refused with this
//                                    status; `closed`: it gave up
//
//     SPANSCOPE_NODE_CLIENT=FOLDER_OF_NODE_MODULES node event_source.mjs URL close|stay
//
// With `close` it closes when `[DONE]` has come, as a client of this server does. With `stay` it
// continues as any EventSource does: it reconnects until the server refuses it.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [url, atTheEnd] = process.argv.slice(2);
if (atTheEnd !== 'close' && atTheEnd !== 'stay') throw new Error(`close or stay at the end, not ${atTheEnd}`);

// An import looks for packages only next to this file, and they are elsewhere.
const require = createRequire(join(resolve(process.env.SPANSCOPE_NODE_CLIENT), 'package.json'));
const { EventSource } = require('eventsource');

const say = (line) => console.log(JSON.stringify(line));
const source = new EventSource(url);
source.addEventListener('open', () => say({ open: true }));
source.addEventListener('message', ({ lastEventId, data }) => {
  say({ id: lastEventId, data });
  if (data === '[DONE]' && atTheEnd === 'close') source.close();
});
source.addEventListener('error', ({ code }) => {
  say({ error: code ?? null, closed: source.readyState === EventSource.CLOSED });
});
