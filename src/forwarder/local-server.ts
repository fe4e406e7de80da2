/**
 * The local HTTP/1.1 server in front of the QUIC connection. Fastify owns sockets, parsing and limits; requests leave
 * its pipeline at the first hook, because bodies are streamed and nothing is routed here.
 */
import { lookup } from 'node:dns/promises'
import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { METHODS, STATUS_CODES } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { RequestFailure } from '../client/failure.js'
import type { HostPort } from '../config/values.js'
import { failureAnswer } from './send-failure.js'

/** Handles one request. `url` is the request target as the client sent it. */
export type LocalRequestHandler = (request: IncomingMessage, response: ServerResponse, url: string) => void

export interface LocalServerOptions {
  readonly listen: HostPort
  /** How this forwarder calls itself in Proxy-Status. */
  readonly name: string
  readonly onRequest: LocalRequestHandler
  /** A tunnel was asked for and refused. */
  readonly onConnect?: (target: string) => void
}

/** A listening server. */
export class LocalServer {
  private constructor(
    private readonly app: FastifyInstance,
    readonly address: HostPort
  ) {}

  /** Rejects with the system's error if it cannot listen (`code` EADDRINUSE, EACCES, EADDRNOTAVAIL). */
  static async listen(o: LocalServerOptions): Promise<LocalServer> {
    const app = fastify({
      logger: false,
      forceCloseConnections: true,
      // Every request takes the one route there is; the path belongs to the gateway.
      rewriteUrl: () => '/',
      clientErrorHandler: (error, socket) => refuseBytes(error as Error & { code?: string }, socket as Socket, o.name)
    })
    for (const method of METHODS) {
      if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
    }
    app.route({ method: app.supportedMethods, url: '/', handler: () => {} })
    app.addHook('onRequest', (request, reply, _done) => {
      // Not calling back ends fastify's part: the exchange ends the response.
      reply.hijack()
      const url = (request.raw as IncomingMessage & { originalUrl: string }).originalUrl
      o.onRequest(request.raw, reply.raw, url)
    })
    app.server.on('connect', (request: IncomingMessage, socket: Socket) => refuseConnect(request, socket, o))
    // One address for one name: fastify would make a second server for localhost, without the handlers above.
    const { address } = await lookup(o.listen.host)
    await app.listen({ host: address, port: o.listen.port })
    const { port } = app.server.address() as AddressInfo
    return new LocalServer(app, { host: o.listen.host, port })
  }

  /** Stops listening, lets running responses finish for `drainMs`, then cuts what is left. */
  async close(drainMs: number): Promise<void> {
    const { server } = this.app
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => server.closeAllConnections(), drainMs)
      server.close(() => {
        clearTimeout(timer)
        resolve()
      })
      server.closeIdleConnections()
    })
    await this.app.close()
  }
}

/** CONNECT asks for a tunnel of bytes; this proxy carries requests. */
function refuseConnect(request: IncomingMessage, socket: Socket, o: LocalServerOptions): void {
  const target = (request.url ?? '').slice(0, 200).replaceAll(/[^\x20-\x7e]/g, '?')
  o.onConnect?.(target)
  const failure = new RequestFailure({
    type: 'http_request_denied',
    status: 501,
    cause: `CONNECT ${target} asks for a tunnel, and this proxy carries HTTP requests only`,
    remedy: 'use an http:// URL, it is encrypted from here to the gateway; or send https URLs around this proxy'
  })
  answerSocket(socket, failure, o.name, request.headers.accept)
}

/** Answers bytes that are no HTTP request. */
function refuseBytes(error: Error & { code?: string }, socket: Socket, name: string): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  answerSocket(socket, new RequestFailure({ type: 'http_request_error', ...refusalOf(error.code) }), name, undefined)
}

function refusalOf(code: string | undefined): Pick<RequestFailure, 'status' | 'cause' | 'remedy'> {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, cause: 'the header fields are too large', remedy: 'send less than 16 KiB of them' }
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, cause: 'the request did not arrive in time', remedy: 'send it again' }
    default:
      return {
        status: 400,
        cause: 'this is no HTTP/1.1 request',
        remedy: 'check what the client sends (https:// instead of http://?)'
      }
  }
}

function answerSocket(socket: Socket, failure: RequestFailure, name: string, accept: string | undefined): void {
  socket.on('error', () => socket.destroy())
  const { headers, body } = failureAnswer(failure, name, accept)
  const fields = headers.map(([field, value]) => `${field}: ${value}\r\n`).join('')
  const { status } = failure
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${fields}connection: close\r\n\r\n${body.toString()}`)
}
