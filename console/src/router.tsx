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
  createRoute({
    ...at('/data/sources/$name'),
    component: lazyRouteComponent(() => import('./pages/data/Source'), 'Source'),
  }),
  createRoute({
    ...at('/data/imports'),
    component: lazyRouteComponent(() => import('./pages/data/Imports'), 'Imports'),
  }),
  createRoute({
    ...at('/data/steward'),
    component: lazyRouteComponent(() => import('./pages/data/Steward'), 'Steward'),
  }),
  createRoute({
    ...at('/data/catalogue'),
    component: lazyRouteComponent(() => import('./pages/data/Catalogue'), 'Catalogue'),
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
  createRoute({ ...at('/privacy'), beforeLoad: () => redirect({ to: '/privacy/consent', throw: true }) }),
  createRoute({
    ...at('/privacy/consent'),
    component: lazyRouteComponent(() => import('./pages/privacy/Consent'), 'Consent'),
  }),
  createRoute({
    ...at('/privacy/requests'),
    component: lazyRouteComponent(() => import('./pages/privacy/Requests'), 'Requests'),
  }),
  createRoute({
    ...at('/privacy/requests/$id'),
    component: lazyRouteComponent(() => import('./pages/privacy/Request'), 'Request'),
  }),
  createRoute({
    ...at('/privacy/erasures'),
    component: lazyRouteComponent(() => import('./pages/privacy/Erasures'), 'Erasures'),
  }),
  createRoute({
    ...at('/privacy/retention'),
    component: lazyRouteComponent(() => import('./pages/privacy/Retention'), 'Retention'),
  }),
  createRoute({
    ...at('/privacy/processing'),
    component: lazyRouteComponent(() => import('./pages/privacy/Processing'), 'Processing'),
  }),
  createRoute({
    ...at('/privacy/approvals'),
    component: lazyRouteComponent(() => import('./pages/privacy/Approvals'), 'Approvals'),
  }),
  createRoute({ ...at('/settings'), beforeLoad: () => redirect({ to: '/settings/account', throw: true }) }),
  createRoute({
    ...at('/settings/account'),
    component: lazyRouteComponent(() => import('./pages/settings/Account'), 'Account'),
  }),
  createRoute({
    ...at('/settings/people'),
    component: lazyRouteComponent(() => import('./pages/settings/People'), 'People'),
  }),
  createRoute({
    ...at('/settings/keys'),
    component: lazyRouteComponent(() => import('./pages/settings/Keys'), 'Keys'),
  }),
  createRoute({
    ...at('/settings/policies'),
    component: lazyRouteComponent(() => import('./pages/settings/Policies'), 'Policies'),
  }),
  createRoute({
    ...at('/settings/workspace'),
    component: lazyRouteComponent(() => import('./pages/settings/Workspace'), 'Workspace'),
  }),
  createRoute({
    ...at('/settings/system'),
    component: lazyRouteComponent(() => import('./pages/settings/System'), 'System'),
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
