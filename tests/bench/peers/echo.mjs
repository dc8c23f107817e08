// Uppercase echo of TCP and UDP for Node. Says where it listens on standard output.
import dgram from "node:dgram";
import net from "node:net";

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on("data", (data) => {
    if (!socket.write(data.toString().toUpperCase())) {
      socket.pause();
      socket.once("drain", () => socket.resume());
    }
  });
  socket.on("error", () => socket.destroy());
});

const datagrams = dgram.createSocket("udp4");
datagrams.on("message", (data, peer) => {
  datagrams.send(data.toString().toUpperCase(), peer.port, peer.address);
});

server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  datagrams.bind(0, "127.0.0.1", () => {
    console.log(`tcp://127.0.0.1:${server.address().port}`);
    console.log(`udp://127.0.0.1:${datagrams.address().port}`);
  });
});
