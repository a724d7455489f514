// A server on this machine that answers passes and sockets as a test wants it: overloaded, silent, or well.
import { once } from "node:events";
import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";

globalThis.WebSocket ??= WebSocket; // Node.js has its own from 22 on

export const VIEWER = "7d2b9ad16a51a6099939d32fb499";

/** The state of a show whose segment is open for a while. */
export function state(seq, segment = {}, { epoch = 5 } = {}) {
  const now = Date.now();
  const open = { id: 1, title: "Opening", phase: "open", opens_at: now - 1_000, closes_at: now + 60_000, prizes: [] };
  return { epoch, seq, segment: { ...open, ...segment }, results: [], more_to_come: true };
}

export function welcome(told, fields = {}) {
  const pace = { report_every_ms: 200, jitter_ms: 50, spread_ms: 100 };
  const { epoch, seq } = told;
  const show = { slug: "gala", title: "Gala", feed: "app" };
  const who = { viewer: VIEWER, salt: "00".repeat(32), show };
  return { now: Date.now(), ...who, epoch, seq, state: told, total: 0, ...pace, ...fields };
}

/** The answer to a request for a pass. */
export const gives = (pass) => (response) => answer(response, 200, { pass, expires_at: Date.now() + 3_600_000 });
export const refuses = (status, code, headers = {}) => (response) =>
  answer(response, status, { code, message: code }, headers);
export const isSilent = () => {};

function answer(response, status, content, headers = {}) {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify(content));
}

/** `passes` are the answers to the requests, the last one for all that follow; `greet` is called with each hello. */
export async function serve({ passes = [gives("pass 1")], greet = () => {} } = {}) {
  const asked = [];
  const heard = [];
  const sockets = [];
  const http = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    asked.push(JSON.parse(Buffer.concat(parts).toString()));
    passes[Math.min(asked.length, passes.length) - 1](response);
  });
  const hall = new WebSocketServer({ server: http });
  const say = (type, fields, socket = sockets.at(-1)) => socket.send(JSON.stringify({ type, ...fields }));
  hall.on("connection", (socket) => {
    sockets.push(socket);
    socket.on("message", (frame) => {
      const message = JSON.parse(frame.toString());
      heard.push(message);
      if (message.type === "hello") greet((type, fields) => say(type, fields, socket), socket, message);
    });
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const base = `http://127.0.0.1:${http.address().port}`;
  const all = (type, fields = {}) => heard.filter((message) =>
    Object.entries({ type, ...fields }).every(([name, value]) => message[name] === value));
  function stop() {
    hall.clients.forEach((socket) => socket.terminate());
    http.closeAllConnections();
    http.close();
  }
  return { asked, heard, sockets, base, say, all, stop };
}

/** What `look` returns, once it is something. */
export async function until(look, what = "it", patienceMs = 10_000) {
  for (const end = performance.now() + patienceMs; performance.now() < end; ) {
    const found = look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`no ${what} in ${patienceMs} ms`);
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
