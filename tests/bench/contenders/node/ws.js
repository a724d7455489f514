"use strict";

const { WebSocket, WebSocketServer } = require("ws");
const { createControl, listen } = require("./control.js");

let reports = 0;
const server = createControl(
  () => reports,
  (message) => {
    for (const client of sockets.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(message, { binary: false });
    }
  },
);
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on("connection", (socket) => {
  socket.on("error", console.error);
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    if (message.type === "shakes") reports += 1;
    else if (message.type === "hello") socket.send('{"type":"welcome"}');
    else if (message.type === "sync") socket.send('{"type":"synced"}');
  });
});

listen(server);
