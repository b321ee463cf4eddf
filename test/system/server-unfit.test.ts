import type { ChildProcess } from 'node:child_process'
import t from 'tap'
import { addWeb1, agentUnit, bare, url } from '../rig/hosts/bare.ts'
import { cannotBoot } from '../rig/hosts/hosts.ts'

const skip = cannotBoot()
if (skip) t.comment(`skipped: ${skip}`)

t.test('what stands in the way is named before anything is done', { skip }, async (t) => {
  await using rig = await bare()
  const { web1, laptop } = rig
  const refusedFor = async (what: RegExp) => {
    const ran = await laptop.cli(...addWeb1)
    t.match(ran, { code: 5, stderr: /E_HOST_UNFIT/ })
    t.match(ran.stdout, what)
    t.equal((await web1.run('getent', 'passwd', 'deployctl')).status, 2, 'nothing was changed')
  }
  await web1.must('sh', '-c', `echo '[Service]' >${agentUnit}`)
  await refusedFor(/deploy-agent\.service is there and is not deployctl's\n.*mv /)
  await web1.must('rm', agentUnit)

  await web1.must('sed', '-i.bak', '/^Include/d', '/etc/ssh/sshd_config')
  await refusedFor(/does not include[^]*Include \/etc\/ssh\/sshd_config\.d/)
  await web1.must('mv', '/etc/ssh/sshd_config.bak', '/etc/ssh/sshd_config')

  const pretend = (program: string, says: string) =>
    web1.must(
      'sh',
      '-c',
      `mv ${program} ${program}.real && printf '#!/bin/sh\\necho "${says}"\\n' >${program} && chmod +x ${program}`,
    )
  await pretend('/usr/bin/pkaction', 'pkaction version 0.105')
  await refusedFor(/polkit 0\.105 cannot tell one unit from another/)
  await web1.must('mv', '/usr/bin/pkaction.real', '/usr/bin/pkaction')

  await t.test('a setting that sshd refuses is taken back', async (t) => {
    const bad = '/etc/ssh/sshd_config.d/99-bad.conf'
    await web1.must('sh', '-c', `echo "NoSuchSetting yes" >${bad}`)
    const ran = await laptop.cli(...addWeb1)
    t.match(ran, { code: 7, stderr: /E_SETUP_STEP .*sshd -t.*NoSuchSetting/is })
    t.equal((await web1.run('test', '-e', '/etc/ssh/sshd_config.d/50-deployctl.conf')).status, 1)
    await web1.must('rm', bad)
  })

  await t.test('one that was cut off anywhere is completed by the next', async (t) => {
    for (const moment of [
      'making the agent',
      'sent 24',
      'make the system user',
      'fall-back.sh',
      'enable deploy-boot',
    ])
      await cutOff(laptop.start(...addWeb1), moment)
    await web1.must('rm', agentUnit, '/usr/lib/deployctl/boot.sh', '/etc/deployctl/installed.json')
    await web1.must('mkdir', '-p', '/usr/lib/deployctl/versions/0.1.0-half.new')
    const ran = await laptop.cli(...addWeb1)
    t.equal(ran.code, 0, ran.stderr + ran.stdout)
    t.equal((await laptop.cli('push')).code, 0)
    t.match(await laptop.get(url), /^v1 /)
  })
})

/** Kills a command when it has said something; one that has nothing of it left to do simply ends. */
function cutOff(child: ChildProcess, moment: string): Promise<void> {
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk
    if (said.includes(moment)) child.kill('SIGKILL')
  })
  child.stdout?.resume()
  return new Promise((resolve) => child.once('close', () => resolve()))
}
