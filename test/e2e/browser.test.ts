/**
 * A real browser loads a page with its subresources through the forwarder.
 */
import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Chain } from '../helpers/chain.js'
import { newestVersion, stopAll } from '../helpers/programs.js'

const CHROMIUM = '/usr/bin/chromium'
const SUBRESOURCES = 30
const required = process.env['QUICGATE_REQUIRE_TOOLS'] === '1'

describe.skipIf(!existsSync(CHROMIUM) && !required)('chromium', () => {
  let chain: Chain
  let browser: Browser

  beforeAll(async () => {
    chain = await Chain.start()
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      headless: true,
      args: [
        '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'
      ]
    })
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await chain?.stop()
    await stopAll()
  })

  it(`loads a page with ${SUBRESOURCES} subresources`, async () => {
    const page = await browser.newPage()
    const answers: { path: string; status: number; via: string | undefined }[] = []
    const failed: string[] = []
    page.on('response', (response) => {
      const path = new URL(response.url()).pathname
      answers.push({ path, status: response.status(), via: response.headers()['via'] })
    })
    page.on('requestfailed', (request) => failed.push(request.url()))
    await page.goto(`${chain.url}/page`, { waitUntil: 'load' })
    expect(failed).toEqual([])
    const assets = answers.filter(({ path }) => path.startsWith('/asset/'))
    expect(assets).toHaveLength(SUBRESOURCES)
    expect(answers.filter(({ path }) => path !== '/favicon.ico').every(({ status }) => status === 200)).toBe(true)
    expect(assets.every(({ via }) => via === `1.1 quicgate, QUIC/${newestVersion} quicgate-forward`)).toBe(true)
    // The scripts ran, the styles and pictures were usable.
    expect(await page.evaluate('window.loaded')).toBe(10)
    expect(await page.evaluate('document.styleSheets.length')).toBe(10)
    const pictures = '[...document.images].filter((image) => image.complete && image.naturalWidth === 24).length'
    expect(await page.evaluate(pictures)).toBe(10)
  }, 60_000)

  it('uses the forwarder as its proxy', async () => {
    const context = await browser.newContext({ proxy: { server: chain.url } })
    const page = await context.newPage()
    const response = await page.goto('http://any.host.example/headers')
    expect(response!.status()).toBe(200)
    expect(((await response!.json()) as { headers: { host: string } }).headers.host).toBe('any.host.example')
    await context.close()
  }, 60_000)
})
