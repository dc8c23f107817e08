// Uppercase echo of TCP and UDP for Bun. Says where it listens on standard output.

// A write takes what the socket's buffer has room for; the rest waits for `drain`.
function write(socket, bytes) {
  const taken = socket.write(bytes);
  if (taken < bytes.length) {
    socket.data.push(bytes.subarray(Math.max(taken, 0)));
    socket.pause();
  }
}

const server = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.data = [];
      socket.setNoDelay(true);
    },
    data(socket, data) {
      const reply = Buffer.from(data.toString().toUpperCase());
      if (socket.data.length > 0) {
        socket.data.push(reply);
      } else {
        write(socket, reply);
      }
    },
    drain(socket) {
      const waiting = Buffer.concat(socket.data);
      socket.data = [];
      write(socket, waiting);
      if (socket.data.length === 0) socket.resume();
    },
    error() {},
  },
});

const datagrams = await Bun.udpSocket({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    data(socket, data, port, address) {
      socket.send(data.toString().toUpperCase(), port, address);
    },
  },
});

console.log(`tcp://127.0.0.1:${server.port}`);
console.log(`udp://127.0.0.1:${datagrams.port}`);
