/** Messages for benchmarks of what handles messages. */

const pseudo = (authority, path) => [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', authority],
  [':path', path]
]

/** What a program sends that does not care. */
export const plainRequest = [...pseudo('localhost:4433', '/'), ['user-agent', 'quicgate-bench']]

/** What a browser of Google QUIC's time sends. */
export const browserRequest = [
  ...pseudo('www.example.com', '/assets/app.js?v=3'),
  [
    'user-agent',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/56.0.2924.87 Safari/537.36'
  ],
  ['accept', '*/*'],
  ['referer', 'https://www.example.com/'],
  ['accept-encoding', 'gzip, deflate, sdch, br'],
  ['accept-language', 'en-US,en;q=0.8'],
  ['cookie', 'session=0123456789abcdef0123456789abcdef'],
  ['cookie', 'theme=dark']
]

/** What the gateway makes of {@link upstreamResponse}. */
export const response = [
  [':status', '200'],
  ['content-type', 'text/plain'],
  ['content-length', '1024'],
  ['date', 'Sat, 28 Nov 2026 04:00:00 GMT'],
  ['via', '1.1 quicgate']
]

/** Names and values in turn. */
export const upstreamResponse = [
  'Content-Type', 'text/plain', 'Content-Length', '1024', 'Date', 'Sat, 28 Nov 2026 04:00:00 GMT',
  'Connection', 'keep-alive', 'Keep-Alive', 'timeout=5'
]
