"use strict";
// What the benchmark asks for beside the sockets: GET is the count, POST broadcasts its body.

const { createServer } = require("node:http");

const BACKLOG = 4096; // Node's default is 511

exports.createControl = (count, broadcast) =>
  createServer(async (request, response) => {
    if (request.method === "POST") {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      broadcast(Buffer.concat(chunks));
      response.end();
    } else {
      response.end(String(count()));
    }
  });

exports.listen = (server) =>
  server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: BACKLOG });
