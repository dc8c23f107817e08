// Uppercase echo for nginx with njs: what a client sends goes back, and nothing to the upstream.
function upper(session) {
  session.on("upload", (data) => session.sendDownstream(data.toUpperCase()));
}

// The upstream: it takes a connection and keeps it.
function hold(session) {
  session.on("upload", () => {});
}

export default { upper, hold };
