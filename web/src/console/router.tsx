import { createRootRoute, createRoute, createRouter } from '@tanstack/react-router';
import { Browse } from './browse/Browse.tsx';
import { readSearch } from './browse/search.ts';
import { Frame } from './Frame.tsx';
import { Failed, lazily } from './parts/lazily.tsx';
import { NotFound } from './parts/NotFound.tsx';
import { base } from './settings.ts';

const root = createRootRoute({ component: Frame, notFoundComponent: NotFound });
const browse = createRoute({ getParentRoute: () => root, path: '/', validateSearch: readSearch, component: Browse });
const connector = createRoute({
  getParentRoute: () => root,
  path: '/connectors/$id',
  component: lazily(async () => (await import('./connector/Connector.tsx')).ConnectorPage),
});
const add = createRoute({
  getParentRoute: () => root,
  path: '/connectors/new',
  component: lazily(async () => (await import('./edit/Add.tsx')).AddPage),
});
const edit = createRoute({
  getParentRoute: () => root,
  path: '/connectors/$id/edit',
  component: lazily(async () => (await import('./edit/Edit.tsx')).EditPage),
});
const transfer = createRoute({
  getParentRoute: () => root,
  path: '/import',
  component: lazily(async () => (await import('./transfer/Import.tsx')).ImportPage),
});

/** One parameter for each field: `?status=ACTIVE,DEPRECATED` rather than JSON. */
function stringifySearch(search: Record<string, unknown>) {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    if (Array.isArray(value)) parameters.set(key, value.join(','));
    else if (value !== undefined) parameters.set(key, String(value));
  }
  const text = parameters.toString().replaceAll('%2C', ',');
  return text ? `?${text}` : '';
}

const routeTree = root.addChildren([browse, connector, add, edit, transfer]);

/** Makes the router, which begins at the address of the page. */
export const makeRouter = () =>
  createRouter({
    routeTree,
    basepath: base.pathname,
    parseSearch: text => Object.fromEntries(new URLSearchParams(text)),
    stringifySearch,
    scrollRestoration: true,
    defaultPreload: false,
    defaultErrorComponent: Failed,
  });

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
