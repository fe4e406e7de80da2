import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Command } from 'commander'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { registerCert } from '../../../src/cli/cert.js'

let dir: string
let output: string
beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), 'cert-command-')), 'certs')
  output = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += String(text)
    return true
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(dir, { recursive: true, force: true })
})

async function run(...args: string[]): Promise<void> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} })
  registerCert(program)
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => {} })
  await program.parseAsync(['cert', ...args], { from: 'user' })
}

describe('quicgate cert', () => {
  it('makes certificates for this machine and says what to try next', async () => {
    await run('--dir', dir)
    const names = new X509Certificate(await readFile(join(dir, 'cert.pem'))).subjectAltName
    expect(names).toBe('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1')
    const [cert, key, ca] = ['cert.pem', 'key.pem', 'ca.pem'].map((name) => join(dir, name))
    expect(output).toContain(`quicgate serve --listen 127.0.0.1:4433 --cert ${cert} --key ${key} --root .`)
    expect(output).toContain(`quicgate fetch https://localhost:4433/ --connect 127.0.0.1:4433 --ca ${ca}`)
  })

  it('takes hosts, key type and days, and prints JSON', async () => {
    await run('--dir', dir, '--host', 'a.example', '*.b.example', '--rsa', '--days', '7', '--json')
    const made = JSON.parse(output) as Record<string, unknown>
    expect(made).toMatchObject({ hosts: ['a.example', '*.b.example'], keyType: 'rsa', caCreated: true })
    const days = (Date.parse(made['expires'] as string) - Date.now()) / 86_400_000
    expect(Math.round(days)).toBe(7)
  })

  it('leaves what exists, unless forced', async () => {
    await run('--dir', dir)
    await expect(run('--dir', dir)).rejects.toMatchObject({ name: 'CertificateError', code: 'FILE_EXISTS' })
    await run('--dir', dir, '--force', '--host', 'b.example')
    expect(output).toContain('authority, there already')
  })

  it('refuses options that make no sense', async () => {
    await expect(run('--dir', dir, '--rsa', '--ecdsa')).rejects.toThrow(/cannot be used with/)
    await expect(run('--dir', dir, '--days', 'soon')).rejects.toThrow(/--days.*whole number from 1 to 3650/)
    await expect(run('--dir', dir, '--host', 'http://x')).rejects.toThrow(/is no host/)
  })
})
