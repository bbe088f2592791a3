// Every page of the console, and where it is. Pages are fetched when they are first shown.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router'
import { Shell } from './app/Shell'
import { NotFound, PageFailed } from './app/states'
import { Home } from './pages/home/Home'

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound, errorComponent: PageFailed })

const at = <Path extends string>(path: Path) => ({ getParentRoute: () => root, path })

const routes = root.addChildren([
  createRoute({ ...at('/'), component: Home }),
  createRoute({ ...at('/live'), component: lazyRouteComponent(() => import('./pages/live/Live'), 'Live') }),
  createRoute({ ...at('/people'), component: lazyRouteComponent(() => import('./pages/people/People'), 'People') }),
  createRoute({
    ...at('/people/$identifier'),
    component: lazyRouteComponent(() => import('./pages/people/Profile'), 'Profile'),
  }),
  createRoute({
    ...at('/segments'),
    component: lazyRouteComponent(() => import('./pages/segments/Segments'), 'Segments'),
  }),
  createRoute({
    ...at('/segments/new'),
    component: lazyRouteComponent(() => import('./pages/segments/Builder'), 'NewSegment'),
  }),
  createRoute({
    ...at('/segments/$name'),
    component: lazyRouteComponent(() => import('./pages/segments/Segment'), 'Segment'),
  }),
  createRoute({
    ...at('/segments/$name/edit'),
    component: lazyRouteComponent(() => import('./pages/segments/Builder'), 'EditSegment'),
  }),
  createRoute({ ...at('/data'), beforeLoad: () => redirect({ to: '/data/sources', throw: true }) }),
  createRoute({
    ...at('/data/sources'),
    component: lazyRouteComponent(() => import('./pages/data/Sources'), 'Sources'),
  }),
  createRoute({ ...at('/data/sql'), component: lazyRouteComponent(() => import('./pages/data/Sql'), 'Sql') }),
  createRoute({
    ...at('/destinations'),
    component: lazyRouteComponent(() => import('./pages/destinations/Destinations'), 'Destinations'),
  }),
  createRoute({
    ...at('/destinations/$name'),
    component: lazyRouteComponent(() => import('./pages/destinations/Destination'), 'Destination'),
  }),
  createRoute({ ...at('/settings'), beforeLoad: () => redirect({ to: '/settings/account', throw: true }) }),
  createRoute({
    ...at('/settings/account'),
    component: lazyRouteComponent(() => import('./pages/settings/Account'), 'Account'),
  }),
  createRoute({
    ...at('/settings/audit'),
    component: lazyRouteComponent(() => import('./pages/settings/Audit'), 'Audit'),
  }),
])

export const router = createRouter({
  routeTree: routes,
  basepath: '/console',
  defaultPreload: 'intent',
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
