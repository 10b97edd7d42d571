// A browser in which every host but the service's is out of reach, and pages of which all complaints are collected.

import { chromium } from 'playwright-core';

/** Launches the browser. Of all hosts, it reaches only these. */
export const launch = (...hosts) =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--host-resolver-rules=MAP * ~NOTFOUND, ${hosts.map(host => `EXCLUDE ${host}`).join(', ')}`,
    ],
  });

/**
 * Opens an empty page that complains to `complain`: of what the console says, of failed requests unless `isExcused`, and of
 * requests to origins that are neither this one nor among `others`. Requests to what `stubs` names get its responses.
 */
export async function watched(browser, { origin, others = [], stubs = [], complain, isExcused, context: options }) {
  const context = await browser.newContext(options);
  await context.route(
    url => url.origin !== origin && !others.includes(url.origin),
    route => {
      const stub = stubs.find(({ address }) => route.request().url().startsWith(address));
      if (stub) return route.fulfill(stub.response);
      complain(`asked for ${route.request().url()}`);
      return route.abort();
    },
  );
  // The policy refuses before a request is made: what it refused is asked here.
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', event =>
      console.error(`the policy refused ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  const page = await context.newPage();
  page.on('console', message => message.type() === 'error' && complain(`console: ${message.text()}`));
  page.on('pageerror', error => complain(`error: ${error.stack}`));
  page.on('response', response => response.status() >= 400 && complain(`${response.status()}: ${response.url()}`));
  page.on('requestfailed', request => {
    const { errorText } = request.failure() ?? {};
    if (!isExcused(request, errorText)) complain(`failed: ${request.url()} ${errorText}`);
  });
  return page;
}
