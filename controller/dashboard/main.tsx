import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Link, Route, Switch, useLocation } from 'wouter-preact'
import './app.css'
import { call, type Failure } from './api.ts'
import { beginLive } from './live.ts'
import { Access } from './pages/access.tsx'
import { Diff } from './pages/diff.tsx'
import { FleetPage } from './pages/fleet.tsx'
import { HistoryPage } from './pages/history.tsx'
import { Login } from './pages/login.tsx'
import { Order } from './pages/order.tsx'
import { RolloutPage } from './pages/rollout.tsx'
import { Rollouts } from './pages/rollouts.tsx'
import { Schedules } from './pages/schedules.tsx'
import { ServicePage } from './pages/service.tsx'
import { Trust } from './pages/trust.tsx'
import { Page } from './parts.tsx'

type Me = { name: string; role: 'viewer' | 'operator' | 'admin' }

const places = [
  ['/', 'Fleet'],
  ['/rollouts', 'Rollouts'],
  ['/history', 'History'],
  ['/schedules', 'Schedules'],
  ['/trust', 'Trust'],
] as const

function App() {
  const [me, setMe] = useState<Me | null | 'asking'>('asking')
  const ask = () => {
    call<Me>('/session').then(setMe, (failure: unknown) => {
      setMe((failure as Failure).status === 401 ? null : 'asking')
    })
  }
  useEffect(() => {
    void takeToken().finally(ask)
  }, [])
  if (me === 'asking') return <p class="quiet">One moment…</p>
  if (me === null) return <Login onDone={ask} />
  return <Shell me={me} onLeave={() => setMe(null)} />
}

/** A link that somebody got on a terminal has a token behind its #, which no server sees; it is used once. */
async function takeToken(): Promise<void> {
  const token = /^#token=(dpl_[\w-]+)$/.exec(location.hash)?.[1]
  if (token === undefined) return
  history.replaceState(null, '', location.pathname)
  await call('/session', 'POST', { token }).catch(() => {})
}

function Shell({ me, onLeave }: { me: Me; onLeave: () => void }) {
  const [isLive, setLive] = useState(true)
  useEffect(() => beginLive(setLive), [])
  const leave = () => void call('/session', 'DELETE').finally(onLeave)
  return (
    <>
      <a class="skip" href="#main">
        To the content
      </a>
      <header>
        <Link href="/" class="brand">
          deployctl
        </Link>
        <nav aria-label="Pages">
          {places.map(([href, name]) => (
            <NavLink href={href}>{name}</NavLink>
          ))}
          {me.role === 'admin' && <NavLink href="/access">Access</NavLink>}
        </nav>
        <p class="me">
          <span class={isLive ? 'live' : 'stale'} role="status">
            {isLive ? 'live' : 'not connected'}
          </span>
          {me.name} ({me.role})
          <button type="button" onClick={leave}>
            Leave
          </button>
        </p>
      </header>
      <main id="main">
        <Switch>
          <Route path="/">{() => <FleetPage may={me.role !== 'viewer'} />}</Route>
          <Route path="/services/:service">{({ service }) => <ServicePage service={service} />}</Route>
          <Route path="/rollouts">{() => <Rollouts />}</Route>
          <Route path="/rollouts/:id">{({ id }) => <RolloutPage id={id} may={me.role !== 'viewer'} />}</Route>
          <Route path="/orders/:id">{({ id }) => <Order id={id} />}</Route>
          <Route path="/history">{() => <HistoryPage />}</Route>
          <Route path="/diff/:before/:after">
            {({ before, after }) => <Diff before={before} after={after} />}
          </Route>
          <Route path="/schedules">{() => <Schedules may={me.role !== 'viewer'} />}</Route>
          <Route path="/trust">{() => <Trust />}</Route>
          <Route path="/access">{() => <Access />}</Route>
          <Route>{() => <Page title="There is no such page">…</Page>}</Route>
        </Switch>
      </main>
    </>
  )
}

function NavLink({ href, children }: { href: string; children: string }) {
  const [path] = useLocation()
  const isHere = href === '/' ? path === '/' : path.startsWith(href)
  return (
    <Link href={href} aria-current={isHere ? 'page' : undefined}>
      {children}
    </Link>
  )
}

const place = document.getElementById('app')
if (place) {
  place.replaceChildren()
  render(<App />, place)
}
