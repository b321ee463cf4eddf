/** The arrows of ARCHITECTURE.md, checked by `npm run check`. */
const door = (name, pkg, doors) => ({
  name,
  severity: 'error',
  comment: `${pkg} is used behind one door only`,
  from: { path: '^(agent|controller|shared|service)/', pathNot: doors },
  to: { path: `node_modules/${pkg}/` },
})
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'agent-not-controller', severity: 'error', from: { path: '^agent/' }, to: { path: '^(controller|test|bench)/' } },
    { name: 'controller-not-agent', severity: 'error', from: { path: '^controller/' }, to: { path: '^(agent|test|bench)/' } },
    { name: 'shared-imports-neither', severity: 'error', from: { path: '^shared/' }, to: { path: '^(agent|controller|test|bench)/' } },
    { name: 'service-stands-alone', severity: 'error', from: { path: '^service/' }, to: { path: '^(agent|controller|shared|test|bench)/' } },
    {
      name: 'pure-decisions',
      severity: 'error',
      comment: 'state machines and planners take values and return values',
      from: { path: '(machine|planner|decide)\\.ts$', pathNot: '^test/' },
      to: { dependencyTypes: ['core'] },
    },
    door('one-door-ssh2', 'ssh2', '^(controller/transport/|agent/ssh/|shared/sshsig/)'),
    door('one-door-sqlite', 'better-sqlite3', '^shared/database[.]ts$'),
    door('one-door-javascript', '(acorn|eslint-scope|magic-string|resolve[.]exports)', '^shared/hot/'),
    door('one-door-chokidar', 'chokidar', '^controller/watch/'),
    door('one-door-fastify', '(fastify|@fastify|prom-client)', '^(agent/api/|controller/server/)'),
    door('one-door-cron', '(node-cron|temporal-polyfill|ical[.]js)', '^controller/schedule/'),
    door('one-door-mail', 'nodemailer', '^controller/notify/'),
  ],
  options: { doNotFollow: { path: 'node_modules' }, tsPreCompilationDeps: true, tsConfig: { fileName: 'tsconfig.json' }, moduleSystems: ['es6', 'cjs'] },
}
