/** `quicgate inspect`: what recorded traffic says. */
import type { Command } from 'commander'
import { CaptureError } from '../inspect/capture-error.js'
import { inspectCapture } from '../inspect/inspect-capture.js'
import { formatReport } from '../inspect/report-text.js'
import { parseInteger } from './arguments.js'
import { ExitCode, note, say, warn } from './output.js'

interface InspectCommandOptions {
  packets?: boolean
  json?: boolean
  keys?: string[]
  port?: number
}

/** Adds the command `inspect`. */
export function registerInspect(program: Command): void {
  program
    .command('inspect')
    .description('decode recorded Google QUIC traffic: what was asked and answered, or every packet')
    .argument('<capture...>', 'pcap or pcapng files, or directories with case.json and datagrams.jsonl.gz')
    .option('--keys <file...>', 'key logs to decrypt with, as --keylog of the other commands writes them')
    .option('--port <n>', "of files: look at this server's UDP port only", parseInteger(1, 65535))
    .option('--packets', 'print every packet with its frames and handshake messages')
    .option('--json', 'print one line of JSON for each capture')
    .action(async (captures: string[], options: InspectCommandOptions) => {
      for (const capture of captures) {
        if (options.packets && !options.json && captures.length > 1) say(`${capture}:`)
        try {
          await inspectOne(capture, options)
        } catch (error) {
          // One bad capture does not keep the others from being read.
          if (!(error instanceof CaptureError)) throw error
          note(`error: ${error.message}`)
          process.exitCode = ExitCode.usage
        }
      }
    })
}

async function inspectOne(capture: string, options: InspectCommandOptions): Promise<void> {
  const { keys, port } = options
  const onPacket = options.packets ? packetPrinter(options) : undefined
  const inspection = await inspectCapture(capture, { onPacket, keys, port })
  for (const problem of inspection.problems) warn(`${inspection.report.case}: ${problem}`)
  say(options.json ? JSON.stringify(inspection.report) : formatReport(inspection))
}

/** Packets go to stdout; with --json, where stdout is for programs, to stderr. */
function packetPrinter(options: InspectCommandOptions): (text: string) => void {
  return options.json ? note : say
}
