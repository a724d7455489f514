"use strict";

const { Server } = require("socket.io");
const { createControl, listen } = require("./control.js");

let reports = 0;
const server = createControl(
  () => reports,
  (message) => io.emit("result", message.toString()),
);
// Defaults, but for what the clients of the benchmark do not speak: polling, and the answer to pings.
const io = new Server(server, { transports: ["websocket"], pingInterval: 3_600_000 });

io.on("connection", (socket) => {
  socket.on("report", () => {
    reports += 1;
  });
  socket.on("sync", () => socket.emit("synced"));
  socket.emit("welcome");
});

listen(server);
