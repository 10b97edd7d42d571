import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { router } from './router.tsx';
import { SessionProvider } from './session/session.tsx';
import './styles/base.css';
import './styles/list.css';
import './styles/connector.css';
import './styles/form.css';
import { TextsProvider } from './texts/texts.tsx';

const root = document.getElementById('console');
if (!root) throw new Error('The page has no element "console".');
createRoot(root).render(
  <StrictMode>
    <TextsProvider>
      <SessionProvider first={null}>
        <RouterProvider router={router} />
      </SessionProvider>
    </TextsProvider>
  </StrictMode>,
);
