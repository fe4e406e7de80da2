/** `quicgate inspect`: what recorded traffic says. */
import type { Command } from 'commander'
import { CaptureError } from '../inspect/capture-error.js'
import { inspectCapture } from '../inspect/inspect-capture.js'
import { formatReport } from '../inspect/report-text.js'
import { ExitCode, note, say, warn } from './output.js'

interface InspectCommandOptions {
  packets?: boolean
  json?: boolean
}

/** Adds the command `inspect`. */
export function registerInspect(program: Command): void {
  program
    .command('inspect')
    .description('decode recorded Google QUIC traffic: what was asked and answered, or every packet')
    .argument('<dir...>', 'capture directories, each with case.json (the keys) and datagrams.jsonl.gz')
    .option('--packets', 'print every packet with its frames and handshake messages')
    .option('--json', 'print one line of JSON for each directory')
    .action(async (directories: string[], options: InspectCommandOptions) => {
      for (const directory of directories) {
        if (options.packets && !options.json && directories.length > 1) say(`${directory}:`)
        try {
          await inspectOne(directory, options)
        } catch (error) {
          // One bad directory does not keep the others from being read.
          if (!(error instanceof CaptureError)) throw error
          note(`error: ${error.message}`)
          process.exitCode = ExitCode.usage
        }
      }
    })
}

async function inspectOne(directory: string, options: InspectCommandOptions): Promise<void> {
  const inspection = await inspectCapture(directory, options.packets ? { onPacket: packetPrinter(options) } : {})
  for (const problem of inspection.problems) warn(`${inspection.report.case}: ${problem}`)
  say(options.json ? JSON.stringify(inspection.report) : formatReport(inspection))
}

/** Packets go to stdout; with --json, where stdout is for programs, to stderr. */
function packetPrinter(options: InspectCommandOptions): (text: string) => void {
  return options.json ? note : say
}
