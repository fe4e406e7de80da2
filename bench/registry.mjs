/**
 * Every benchmark, one line each: its name, what it measures, and the module that does it. README.md beside this file
 * says what such a module exports. They run in this order.
 */
export const registry = [
  { name: 'bulk', about: 'one large file, GET and POST, by engine and AEAD', module: './scenarios/bulk.mjs' },
  { name: 'core', about: 'the protocol alone, without sockets and ciphers', module: './scenarios/core.mjs' },
  { name: 'proxy', about: '1 KB requests through the gateway', module: './scenarios/proxy.mjs' },
  { name: 'workers', about: 'the gateway with one process and with two', module: './scenarios/workers.mjs' },
  { name: 'chain', about: 'HTTP/1.1 → forwarder → gateway → upstream', module: './scenarios/chain.mjs' },
  { name: 'handshakes', about: 'connections made: full with RSA and ECDSA, 0-RTT', module: './scenarios/handshakes.mjs' },
  { name: 'idle', about: 'memory of idle connections', module: './scenarios/idle.mjs' },
  { name: 'network', about: 'a page and a download over slow and lossy paths', module: './scenarios/network.mjs' },
  { name: 'hpack', about: 'header blocks encoded and decoded', module: './scenarios/hpack.mjs' },
  { name: 'messages', about: 'the steps of a request through the gateway', module: './scenarios/messages.mjs' }
]
