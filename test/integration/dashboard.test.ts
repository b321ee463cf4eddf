import { mkdirSync } from 'node:fs'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { bundlePages } from '../../controller/dashboard/bundle.ts'
import { inaccessible, noBrowser, startBrowser } from '../rig/browser.ts'
import { makeController } from '../rig/controller.ts'
import { makeRig } from '../rig/rig.ts'

const skip = noBrowser()
const names = ['web1', 'web2', 'web3', 'web4']
/** Where to put screenshots, for whoever wants to look at them. */
const shots = process.env['DEPLOYCTL_SCREENSHOTS']

/** A page on which nothing goes wrong unseen. */
async function openPage(t: Test, context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  page.on('pageerror', (error) => t.fail(`the page: ${error.message}`))
  page.on('console', (message) => {
    if (message.type() === 'error') t.fail(`the page says: ${message.text()}`)
  })
  page.on('request', (request) => {
    if (!/^(?:http:\/\/127\.0\.0\.1:|blob:|data:)/.test(request.url())) t.fail(`it asks ${request.url()}`)
  })
  page.setDefaultTimeout(15_000)
  return page
}

t.test('the dashboard in a browser', { skip }, async (t) => {
  const rig = await makeRig(t, names)
  rig.configure({ minHealthySeconds: 0.3 })
  t.equal((await rig.cli('push', '-m', 'first')).code, 0)
  t.equal((await rig.cli('publish')).code, 0)
  t.equal((await rig.cli('schedule', 'add', 'nightly', '0 3 * * *', '--time-zone', 'UTC')).code, 0)
  rig.version('sick')
  t.equal((await rig.cli('push', '-m', 'broken on purpose')).code, 8)
  const controller = await makeController(rig.home, rig.project, { pages: await bundlePages() })
  t.teardown(() => controller[Symbol.asyncDispose]())
  controller.daemon.start()
  const url = await controller.listen()
  const link = `${url}/#token=${controller.token('admin')}`
  const browser: Browser = await startBrowser()
  t.teardown(() => browser.close())
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  const page = await openPage(t, context)
  const heading = (name: string | RegExp) => page.getByRole('heading', { level: 1, name }).waitFor()

  await t.test('a link from a terminal lets in, once, and leaves nothing in the address', async (t) => {
    await page.goto(link)
    await heading('Fleet')
    t.equal(page.url(), `${url}/`)
    for (const name of names) await page.getByRole('row', { name: new RegExp(`${name}.*running`) }).waitFor()
    t.equal(await page.evaluate('document.cookie'), '', 'no script sees the session')
  })

  await t.test('a rollout while it goes on: promoted here', async (t) => {
    rig.version('v2')
    const pushing = rig.begin('push', '--canary', '1', '--bake', '1', '--promote', '-m', 'second')
    await page.getByRole('link', { name: 'Rollouts' }).click()
    await page
      .getByRole('row', { name: /canary|baking/ })
      .getByRole('link')
      .click()
    await heading(/^echo .* to production$/)
    t.equal((await pushing.ended).code, 12, 'it waits to be promoted')
    await page.getByRole('button', { name: 'Promote' }).waitFor()
    await page.getByRole('heading', { name: 'The canary beside the others' }).waitFor()
    await page.locator('.uplot canvas').first().waitFor()
    await page.getByRole('button', { name: 'Promote' }).click()
    await page.locator('.counts .state', { hasText: 'done' }).waitFor()
    for (const name of names) t.equal(await rig.get(name), 'v2')
    t.match(await page.getByRole('list', { name: /Events/ }).innerText(), /done, batch 2 of 2/)
    await page.getByText('Log of production').click()
    await page.getByRole('combobox', { name: 'Host' }).selectOption('web2')
    await page
      .getByRole('log')
      .getByText(/v2 listens/)
      .first()
      .waitFor()
    if (shots) await page.screenshot({ path: `${shots}/rollout-live.png`, fullPage: true })
  })

  await t.test('why a deployment came out so', async (t) => {
    await page.getByRole('link', { name: 'History' }).click()
    await page.getByRole('searchbox', { name: 'Result' }).fill('rolled-back')
    await page.getByText('broken on purpose').first().waitFor()
    await page.locator('tbody tr').nth(1).waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'deploy echo' }).click()
    await heading(/^deploy of echo/)
    await page.getByText('E_PROBE_FAILED').first().waitFor()
    await page.getByRole('heading', { name: 'What the probes got' }).first().waitFor()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Save as Markdown' }).click(),
    ])
    t.equal(download.suggestedFilename(), 'why.md')
  })

  await t.test('two releases side by side', async (t) => {
    await page.getByRole('link', { name: 'History' }).click()
    await page.getByRole('button', { name: 'Show the difference' }).click()
    await heading(/→/)
    t.match(await page.getByRole('row', { name: /version\.txt/ }).innerText(), /changed/)
  })

  await t.test('by keyboard only: pause a schedule', async (t) => {
    await page.goto(`${url}/`)
    await heading('Fleet')
    await page.keyboard.press('Tab')
    for (let n = 0; n < 40; n++) {
      const at = await page.evaluate('document.activeElement?.textContent')
      if (at === 'Schedules') break
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await heading('Schedules')
    t.equal(
      await page.evaluate('document.activeElement?.tagName'),
      'H1',
      'the focus is where the page begins',
    )
    await page.getByRole('row', { name: /nightly/ }).waitFor()
    for (let n = 0; n < 10; n++) {
      await page.keyboard.press('Tab')
      if ((await page.evaluate('document.activeElement?.textContent')) === 'Pause') break
    }
    await page.keyboard.press('Enter')
    await page.getByRole('row', { name: /nightly.*paused/ }).waitFor()
    t.match((await rig.cli('schedule', 'list')).stdout, /nightly.*paused/)
  })

  await t.test('a host that is gone, and one that runs something else', async (t) => {
    await rig.host('web4').kill()
    t.equal((await rig.cli('rollback', '--host', 'web1', '--yes')).code, 0)
    await page.goto(`${url}/`)
    await page.getByRole('button', { name: 'Ask all hosts now' }).click()
    await page.getByRole('row', { name: /web4.*unreachable/ }).waitFor()
    await page.getByRole('row', { name: /web1.*not the newest/ }).waitFor()
    t.pass('both are seen')
  })

  const rollout = controller.daemon.site.history.rollouts.list(null, null, 1)[0]?.id ?? ''
  const order = controller.daemon.site.history.search.pushes({}, 1)[0]?.opId ?? ''
  const paths = [
    '/',
    '/services/echo',
    '/rollouts',
    `/rollouts/${rollout}`,
    `/orders/${order}`,
    '/history',
    '/schedules',
    '/trust',
    '/access',
    '/nothing',
  ]
  for (const [what, viewport, colorScheme] of [
    ['on a desktop, light', { width: 1280, height: 800 }, 'light'],
    ['on a phone, dark', { width: 390, height: 844 }, 'dark'],
  ] as const)
    await t.test(`every page is accessible ${what}, and no wider than the screen`, async (t) => {
      const session = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' })
      const own = await openPage(t, session)
      await own.goto(`${url}/#token=${controller.token('admin')}`)
      await own.getByRole('heading', { level: 1, name: 'Fleet' }).waitFor()
      for (const path of paths) {
        await own.goto(`${url}${path}`)
        await own.locator('main h1').waitFor()
        await own.getByText('One moment…').first().waitFor({ state: 'detached' })
        t.strictSame(await inaccessible(own), [], path)
        const width = await own.evaluate<number>('document.documentElement.scrollWidth')
        t.ok(width <= viewport.width, `${path} is ${width} wide`)
        if (shots) {
          mkdirSync(shots, { recursive: true })
          const name = `${viewport.width}${path.replaceAll(/[/]|[0-9a-f]{32}/g, '-')}`
          await own.screenshot({ path: `${shots}/${name}.png` })
        }
      }
      await session.close()
    })

  await t.test('a viewer sees, and steers nothing', async (t) => {
    const session = await browser.newContext()
    const own = await openPage(t, session)
    await own.goto(`${url}/#token=${controller.token('viewer')}`)
    await own.getByRole('row', { name: /web1/ }).waitFor()
    t.equal(await own.getByRole('button', { name: 'Ask all hosts now' }).count(), 0)
    t.equal(await own.getByRole('link', { name: 'Access' }).count(), 0)
    await own.getByRole('button', { name: 'Leave' }).click()
    await own.getByRole('heading', { name: 'Who are you?' }).waitFor()
    await session.close()
  })
})
