// The JavaScript SDK: `node client.mjs ORDER`; see drivers/order.py for what it is given and what it tells.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { AssemblyAI } from "assemblyai";

const order = { audio: null, speed: null, parameters: {}, midway: null, token: false, ...JSON.parse(process.argv[2]) };
const tell = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const since = (start) => (performance.now() - start) / 1000;

// The SDK warns of each attempt that failed.
console.warn = (text) => tell("warning", { text: String(text) });

const WAV_HEADER = 44;
const CHUNK = 3200;

const client = new AssemblyAI({
  apiKey: order.key,
  streamingBaseUrl: order.url.replace("wss://", "https://").replace("/v3/ws", ""),
});
const lifetime = { expires_in_seconds: 60, max_session_duration_seconds: 600 };
const token = order.token ? await client.streaming.createTemporaryToken(lifetime) : undefined;
const transcriber = client.streaming.transcriber({
  token,
  websocketBaseUrl: order.url,
  sampleRate: 16000,
  ...order.parameters,
});
transcriber.on("open", ({ id }) => tell("begin", { id }));
transcriber.on("turn", (turn) =>
  tell("turn", {
    order: turn.turn_order,
    text: turn.transcript,
    end: turn.end_of_turn,
    formatted: turn.turn_is_formatted,
    words: turn.words.length,
  }),
);
transcriber.on("error", (error) => tell("error", { code: error.code, text: error.message }));
transcriber.on("close", (code, reason) => tell("closed", { code, reason }));

let start = performance.now();
try {
  await transcriber.connect();
} catch (error) {
  tell("rejected", { code: error.code, text: error.message, seconds: since(start) });
  process.exit(0);
}
tell("connected", { seconds: since(start) });

const pcm = order.audio === null ? Buffer.alloc(0) : readFileSync(order.audio).subarray(WAV_HEADER);
start = performance.now();
const middle = Math.floor(pcm.length / CHUNK / 2) * CHUNK;
for (let at = 0; at < pcm.length; at += CHUNK) {
  if (order.speed !== null) await sleep(Math.max(0, at / 32 / order.speed - since(start) * 1000));
  if (order.midway !== null && at === middle) {
    transcriber.updateConfiguration(order.midway);
    transcriber.keepAlive();
    transcriber.forceEndpoint();
  }
  transcriber.sendAudio(pcm.subarray(at, at + CHUNK));
}
start = performance.now();
await transcriber.close();
tell("disconnected", { seconds: since(start) });
