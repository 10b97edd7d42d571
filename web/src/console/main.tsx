import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { loadWhenIdle } from './parts/lazily.tsx';
import { makeRouter } from './router.tsx';
import { SessionProvider } from './session/session.tsx';
import { settings } from './settings.ts';
import './styles/base.css';
import './styles/list.css';
import './styles/connector.css';
import './styles/form.css';
import { TextsProvider } from './texts/texts.tsx';

const { signIn } = settings;
const begin = signIn && (await (await import('./session/oidc.ts')).resume(signIn));
// A sign-in restores the address of the page before the router reads it.
const router = makeRouter();

const root = document.getElementById('console');
if (!root) throw new Error('The page has no element "console".');
createRoot(root).render(
  <StrictMode>
    <TextsProvider>
      <SessionProvider first={begin?.token ?? null} problem={begin?.problem ?? null}>
        <RouterProvider router={router} />
      </SessionProvider>
    </TextsProvider>
  </StrictMode>,
);
loadWhenIdle();
