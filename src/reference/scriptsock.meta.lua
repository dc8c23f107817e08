---@meta
-- The API of scriptsock for LuaLS. Made from the tables in src/reference; do not edit it.
-- For a script: write ---@type Handler above the table that it returns.

---@alias CloseReason "eof"|"closed"|"reset"|"idle"|"error"|"slow"|"shutdown"|"oversize"|"rejected"|"framing"|"limit"

---@alias Transport "tcp"|"udp"|"unix"|"unixgram"

---@alias OptionName "nodelay"|"keepalive"|"ttl"|"recv_buffer"|"send_buffer"|"broadcast"|"linger"

---@alias Shared string|number|boolean

---@alias FramingFunction fun(buffer: string, eof: boolean): integer?, any?

---@alias Framing string|FramingTable|FramingFunction

---@alias ReadSpec string|ReadTable|FramingFunction

---A kind of framing and what stands beside it, as a table.
---@class FramingTable
---@field [integer] string|FramingFunction
---@field raw? true whatever one read returned, 64 KiB at most
---@field line? true up to LF; a CR before it is dropped
---@field crlf? true up to CRLF, or a bare LF
---@field delimiter? string up to the delimiter
---@field length? ("u8"|"u16be"|"u16le"|"u24be"|"u32be"|"u32le"|"varint") as many bytes as a length field says, which may be inside a header
---@field fixed? integer that many bytes
---@field netstring? true `5:hello,` is `hello`
---@field max? (number|string) Any kind: the largest message, in bytes or as `"64KiB"`; `--max-message` if left out.
---@field offset? integer `length`: bytes before the length field; 0 if left out.
---@field adjust? integer `length`: added to what the field says, to get the bytes behind it; 0 if left out.
---@field header? ("strip"|"keep") `length`: `"strip"` (if left out): the message is what stands behind the field. `"keep"`: it is the whole frame from its first byte on.

---A kind of framing and what stands beside it, as a table.
---@class ReadTable
---@field [integer] string|FramingFunction
---@field raw? true whatever one read returned, 64 KiB at most
---@field line? true up to LF; a CR before it is dropped
---@field crlf? true up to CRLF, or a bare LF
---@field delimiter? string up to the delimiter
---@field length? ("u8"|"u16be"|"u16le"|"u24be"|"u32be"|"u32le"|"varint") as many bytes as a length field says, which may be inside a header
---@field fixed? integer that many bytes
---@field netstring? true `5:hello,` is `hello`
---@field max? (number|string) Any kind: the largest message, in bytes or as `"64KiB"`; `--max-message` if left out.
---@field offset? integer `length`: bytes before the length field; 0 if left out.
---@field adjust? integer `length`: added to what the field says, to get the bytes behind it; 0 if left out.
---@field header? ("strip"|"keep") `length`: `"strip"` (if left out): the message is what stands behind the field. `"keep"`: it is the whole frame from its first byte on.
---@field all? true Everything until the end of the stream. `"all"` as a string.
---@field timeout? number Seconds; 0 takes only what is there. What arrived stays buffered. Alone: the framing in force.

---What `connect` takes beside the URL.
---@class ConnectOptions
---@field timeout? number seconds; 10 if left out
---@field framing? Framing the script's if left out

---What a script returns, where it is no function.
---@class Handler
---@field framing? Framing How received bytes become messages. `--framing` goes before it.
---@field reply_framing? Framing How replies become bytes.
---@field idle_timeout? number Seconds until a silent stream connection is closed; 0 is never. `--idle-timeout` goes before it.
---@field peer_timeout? number Seconds until a silent datagram peer is forgotten.
---@field on_load? (fun(previous?: integer): (reply: any?, reason: string?, instead: any?)) This generation is about to go live. Once a worker.
---@field on_connect? (fun(conn: Conn): (reply: any?, reason: string?, instead: any?)) A stream connection opened, or the first datagram of a peer arrived.
---@field on_message? (fun(msg: string, conn: Conn): (reply: any?, reason: string?, instead: any?)) A message arrived: one frame of a stream, or one datagram.
---@field on_session? (fun(conn: Conn): (reply: any?, reason: string?, instead: any?)) Instead of `on_message`: after `on_connect`, once a connection. It reads with `conn:read()`. When it has returned and the tasks that it spawned have ended, what was sent is flushed and the connection is closed.
---@field on_eof? (fun(conn: Conn): (reply: any?, reason: string?, instead: any?)) The peer closed its sending side. Not for datagram peers, and not in a conversation: there `conn:read()` says `eof`.
---@field on_idle? (fun(conn: Conn): (reply: any?, reason: string?, instead: any?)) A stream connection was silent for the idle timeout. In a conversation: while a `read` waits.
---@field on_reload? (fun(conn: Conn): (reply: any?, reason: string?, instead: any?)) This generation went live while `conn` was open. Before its next message. Not for a conversation that an older generation began.
---@field on_error? (fun(err: string, conn?: Conn): (reply: any?, reason: string?, instead: any?)) A callback, timer or task of this generation failed; not for a framing function. If `on_error` fails itself, that is logged and nothing more happens.
---@field on_close? (fun(conn: Conn, reason: CloseReason): (reply: any?, reason: string?, instead: any?)) The connection is gone. After any call of it that was running.
---@field on_unload? (fun(): (reply: any?, reason: string?, instead: any?)) This generation was replaced, or the server stops. Once a worker.

---A connection: a stream, a peer of a datagram socket, or one that `connect` made.
---@class Conn
---@field id integer Unique in the process.
---@field transport Transport What it came over.
---@field peer string The other end: `127.0.0.1:51234`, a path, or `unnamed`. Always printable.
---@field peer_ip? string The address of the other end; nil on Unix sockets.
---@field peer_port? integer The port of the other end; nil on Unix sockets.
---@field local_addr string Our end. Always printable.
---@field listener? string The name given with `--listen NAME=URL`, else the URL; nil on a connection that `connect` made.
---@field state table A table for the script. It survives reloads.
local Conn = {}

---Sends one message: a frame of the reply framing in force, or one datagram.
---@param data string the bytes
---@return true?
---@return ("closed"|"full"|"message too long")? problem
function Conn:send(data) end

---Sends bytes as they are, without framing.
---@param data string the bytes
---@return true?
---@return ("closed"|"full"|"message too long")? problem
function Conn:send_raw(data) end

---Waits until everything that was sent has left.
---@return true?
---@return "closed"? problem
function Conn:flush() end

---The next message. Inside `on_message` it takes what would have been the next one.
---@param spec? ReadSpec a framing for this once, or a table that also has `timeout`; left out: the framing in force
---@return string?
---@return ("eof"|"timeout"|"closed"|"reset"|"oversize"|"framing"|"shutdown")? problem
function Conn:read(spec) end

---Sends what is queued, then closes. Messages behind it are dropped.
function Conn:close() end

---Drops what is queued and closes with a reset (RST).
function Conn:reset() end

---Ends the sending side once everything is sent. Messages still arrive.
function Conn:shutdown() end

---Sets framing and reply framing of this connection, at once.
---@param spec? Framing nil: back to the script's
---@return true?
---@return "closed"? problem
function Conn:set_framing(spec) end

---Sets the idle timeout of this connection.
---@param seconds? number 0: never; nil: back to the rule of the script or the command line
---@return true?
---@return "closed"? problem
function Conn:set_idle_timeout(seconds) end

---Reads an option of the socket from the kernel, or sets it.
---@param name OptionName see the options
---@param value? (boolean|number) left out: reads it
---@return any
---@return string? problem
function Conn:option(name, value) end

---From now on the connection gets what is published on the topic. Twice is as once.
---@param topic string 1 to 1024 bytes
---@return true?
---@return ("closed"|"limit")? problem
function Conn:subscribe(topic) end

---Ends a subscription, if there is one.
---@param topic string 1 to 1024 bytes
---@return true?
---@return "closed"? problem
function Conn:unsubscribe(topic) end

---What `after`, `every` and `spawn` return.
---@class Handle
local Handle = {}

---Ends the timer or task. On one that has ended it does nothing.
function Handle:cancel() end

---Waits. `sleep(0)` gives others a turn and starts a new budget.
---@param seconds number 0 or more
function sleep(seconds) end

---Calls the function once, so many seconds from now.
---@param seconds number 0 or more
---@param fn (function) the function
---@return Handle?
---@return "limit"? problem
function after(seconds, fn) end

---Calls the function again and again. A run that is still busy skips a beat.
---@param seconds number 0.001 or more
---@param fn (function) the function
---@return Handle?
---@return "limit"? problem
function every(seconds, fn) end

---Runs the function as a task of its own. It starts when the running callback waits or returns. What it returns does not count.
---@param fn (function) the function
---@param ... any its arguments
---@return Handle?
---@return "limit"? problem
function spawn(fn, ...) end

---Opens a connection to another server. It has all methods of `conn`; no callbacks run for it.
---@param url string `tcp://HOST:PORT`, `udp://HOST:PORT` or `unix://PATH`
---@param options? ConnectOptions `timeout` in seconds (10), `framing` (the script's)
---@return Conn?
---@return string? problem
---@return string? code
function connect(url, options) end

---The server, as this worker and this generation see it.
---@class scriptsock.server
---@field generation integer The number of this generation, from 1.
---@field worker integer The number of this worker, from 1.
---@field state table A table of this worker that survives reloads. With several workers each has its own, and the first use is a warning in the log.
server = {}

---The wall clock: seconds since 1970, with fraction.
---@return number
function server.now() end

---Stops the server in order.
function server.stop() end

---The open connections and datagram peers of this worker, as an array. Those that `connect` made are not in it.
---@return Conn[]
function server.connections() end

---Sends a message to every subscriber of the topic, on every worker. Never waits.
---@param topic string 1 to 1024 bytes
---@param data string the message
---@param except? Conn who does not get it
---@return true?
---@return "full"? problem
function server.publish(topic, data, except) end

---Sends a message to every stream connection, on every worker. Never waits.
---@param data string the message
---@param except? Conn who does not get it
---@return true?
---@return "full"? problem
function server.broadcast(data, except) end

---Values that all workers share: strings, numbers and booleans. Each call is atomic.
---@class scriptsock.server.shared
server.shared = {}

---The value, nil where there is none.
---@param key string 1024 bytes at most
---@return any
function server.shared.get(key) end

---Stores a value in place of the old one.
---@param key string 1024 bytes at most
---@param value Shared not nil: `delete` removes
---@param ttl? number seconds it lives; for ever
---@return true?
---@return "limit"? problem
function server.shared.set(key, value, ttl) end

---Stores a value, only where there is none.
---@param key string 1024 bytes at most
---@param value Shared not nil
---@param ttl? number seconds it lives; for ever
---@return true?
---@return ("exists"|"limit")? problem
function server.shared.add(key, value, ttl) end

---Adds to a number, from 0 where there is none; returns the new value. `ttl` counts only where the key is new.
---@param key string 1024 bytes at most
---@param by? number 1 if left out
---@param ttl? number seconds it lives; for ever
---@return number?
---@return ("not a number"|"limit")? problem
function server.shared.incr(key, by, ttl) end

---Removes a value; returns whether it was there.
---@param key string 1024 bytes at most
---@return boolean
function server.shared.delete(key) end

---All keys, sorted.
---@return string[]
function server.shared.keys() end

---Writes to the log of the server.
---@class scriptsock.log
log = {}

---At level debug: shown with `-v`.
---@param message any the text; other values as `tostring` shows them
---@param fields? table names and values beside it
function log.debug(message, fields) end

---At level info.
---@param message any the text; other values as `tostring` shows them
---@param fields? table names and values beside it
function log.info(message, fields) end

---At level warn.
---@param message any the text; other values as `tostring` shows them
---@param fields? table names and values beside it
function log.warn(message, fields) end

---At level error: shown with `-q` too.
---@param message any the text; other values as `tostring` shows them
---@param fields? table names and values beside it
function log.error(message, fields) end

---JSON.
---@class scriptsock.json
---@field null any Stands for `null` in both directions, where nil would remove the key.
json = {}

---The value as JSON, keys sorted. What JSON cannot say is an error.
---@param value any strings, numbers, booleans, tables, `json.null`
---@return string
function json.encode(value) end

---The value of a JSON text.
---@param text string the text
---@return any
---@return string? problem
function json.decode(text) end

---Hexadecimal digits.
---@class scriptsock.hex
hex = {}

---Two digits a byte.
---@param data string the bytes
---@return string
function hex.encode(data) end

---The bytes of such digits, in both cases; white space is skipped.
---@param text string the text
---@return string?
---@return string? problem
function hex.decode(text) end

---For people: offset, sixteen bytes a line, and the printable ones as text; of 65,520 bytes at most.
---@param data string the bytes
---@return string
function hex.dump(data) end

---Base64, standard alphabet.
---@class scriptsock.base64
base64 = {}

---With padding.
---@param data string the bytes
---@return string
function base64.encode(data) end

---The bytes; padding may be left out, and white space is skipped.
---@param text string the text
---@return string?
---@return string? problem
function base64.decode(text) end

---Hashes, as raw bytes, and checksums, as numbers.
---@class scriptsock.hash
hash = {}

---SHA-256, 32 bytes.
---@param data string the bytes
---@return string
function hash.sha256(data) end

---SHA-1, 20 bytes.
---@param data string the bytes
---@return string
function hash.sha1(data) end

---MD5, 16 bytes.
---@param data string the bytes
---@return string
function hash.md5(data) end

---A keyed hash: `algorithm` is `"sha256"`, `"sha1"` or `"md5"`.
---@param algorithm ("sha256"|"sha1"|"md5") `"sha256"`, `"sha1"` or `"md5"`
---@param key string the key
---@param data string the bytes
---@return string
function hash.hmac(algorithm, key, data) end

---CRC-32, as in zip and PNG.
---@param data string the bytes
---@return integer
function hash.crc32(data) end

---CRC-16: `variant` is `"modbus"` (if left out), `"ccitt"`, `"xmodem"` or `"arc"`.
---@param data string the bytes
---@param variant? ("modbus"|"ccitt"|"xmodem"|"arc") `"modbus"` if left out
---@return integer
function hash.crc16(data, variant) end

---Random bytes of the system, fit for secrets.
---@class scriptsock.random
random = {}

---So many random bytes.
---@param count integer 0 to 1,048,576
---@return string
function random.bytes(count) end

---The bytes of a file.
---@param path string a literal that begins with `./` or `../`
---@return string
function asset(path) end
