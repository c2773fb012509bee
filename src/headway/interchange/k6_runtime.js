// ---- what follows is the same in every script ------------------------------------------------------------------

const TARGET = (__ENV.TARGET || DEFAULT_TARGET).replace(/\/+$/, '');
if (!TARGET) throw new Error('name the service: k6 run -e TARGET=http://127.0.0.1:8000 ...');

// Times as Headway judges them: waiting for a connection, connecting and TLS included, and a request that got no good
// answer is slower than any. k6 cannot add what an iteration waited before it began.
const response = new Trend('headway_response', true);
const failed = new Rate('headway_failed');
const good = new Counter('headway_good');
const FAILED_MS = 3600000;

for (const route of ROUTES) {
  route.callback = http.expectedStatuses(...(route.expect.length ? route.expect : [{ min: 200, max: 399 }]));
}
const STARTS = [
  ...ROUTES.map((route) => ({ weight: route.weight, steps: [{ route }] })),
  ...JOURNEYS.map((journey) => ({
    weight: journey.weight,
    steps: journey.steps.map((step) => ({ route: ROUTES[step.route], think: step.think })),
  })),
].filter((start) => start.weight > 0);
const TOTAL = STARTS.reduce((sum, start) => sum + start.weight, 0);

export default function () {
  let at = Math.random() * TOTAL;
  const start = STARTS.find((each) => (at -= each.weight) < 0) || STARTS[STARTS.length - 1];
  const kept = {}; // a visitor's values: drawn once, extracted ones laid over them
  for (const step of start.steps) {
    if (!ask(step.route, kept)) return; // a failed step ends the journey
    if (step.think) sleep(pause(step.think));
  }
}

function ask(route, kept) {
  const value = (name) => {
    if (!(name in kept) && name in DRAWS) kept[name] = String(DRAWS[name]());
    return kept[name];
  };
  const headers = {};
  for (const [name, text] of route.headers) headers[name] = filled(text, value, inHeader);
  const body = route.body === null ? null : filled(route.body, value, route.form ? encodeURIComponent : inJson);
  const tags = { name: route.name, route: route.tag };
  const answer = http.request(route.method, TARGET + filled(route.path, value, encodeURIComponent), body, {
    headers, tags, timeout: TIMEOUT, redirects: REDIRECTS, responseCallback: route.callback,
    responseType: route.reads ? 'text' : 'none',
  });
  const took = answer.timings.blocked + answer.timings.connecting + answer.timings.tls_handshaking + answer.timings.duration;
  const status = answer.status;
  let well = route.expect.length ? route.expect.includes(status) : status >= 200 && status < 400;
  for (const one of route.checks) {
    if (well) well = check(answer, { [one.name]: () => holds(answer, one, value) }, tags);
  }
  for (const one of route.extract) {
    const found = well ? taken(answer, one) : undefined;
    well = well && found !== undefined && found !== null;
    if (well) kept[one.name] = String(found);
  }
  response.add(well ? took : FAILED_MS, tags);
  failed.add(!well, tags);
  if (well) good.add(1, tags);
  return well;
}

function filled(text, value, encode) {
  return text.replace(/\$\{([A-Z_][A-Z0-9_]*)\}|\{(\w+)\}/g, (whole, secret, name) => {
    if (secret !== undefined && __ENV[secret] === undefined) throw new Error(`the environment has no ${secret}`);
    const found = secret !== undefined ? __ENV[secret] : value(name);
    return found === undefined ? whole : encode(found);
  });
}

function inJson(text) { return JSON.stringify(text).slice(1, -1); }
function inHeader(text) { return text.replace(/[\r\n\0]/g, ''); }

function pause(think) {
  if (think.exponential) return -Math.log(1 - Math.random()) * think.low_s;
  return think.low_s + Math.random() * (think.high_s - think.low_s);
}

function header(answer, name) {
  const found = Object.keys(answer.headers).find((each) => each.toLowerCase() === name.toLowerCase());
  return found === undefined ? undefined : answer.headers[found];
}

function taken(answer, one) {
  const found = looked(answer, one);
  return found === null || typeof found === 'object' ? undefined : found; // null, objects and arrays are no values
}

function looked(answer, one) {
  if (one.source === 'header') return header(answer, one.expression);
  if (one.source === 'cookie') {
    const found = answer.cookies[one.expression];
    return found && found.length ? found[found.length - 1].value : undefined;
  }
  if (one.source === 'regex') {
    const found = new RegExp(one.expression, one.flags).exec(answer.body || '');
    return found ? found[found.length > 1 ? 1 : 0] : undefined;
  }
  let at;
  try { at = JSON.parse(answer.body); } catch (error) { return undefined; }
  for (const key of one.keys) {
    if (at === null || typeof at !== 'object' || Array.isArray(at) !== (typeof key === 'number')) return undefined;
    at = key < 0 ? at[at.length + key] : at[key];
  }
  return at;
}

function holds(answer, one, value) {
  const body = answer.body || '';
  if (one.source === 'text') return body.includes(one.expression);
  if (one.source === 'max_bytes') return unescape(encodeURIComponent(body)).length <= Number(one.expression);
  const found = looked(answer, one);
  if (found === undefined || one.equals === null) return found !== undefined;
  return (typeof found === 'object' && found !== null ? undefined : String(found)) === filled(one.equals, value, String);
}

function uniform(low, high) { return () => low + Math.floor(Math.random() * (high - low + 1)); }
function from(list, exponent) {
  const rank = exponent === null ? uniform(1, list.length) : zipf(1, list.length, exponent);
  return () => list[rank() - 1];
}

// Zipf over n keys by rejection-inversion: exact, normalised over the real range, and in constant memory.
// Source: Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions", 1996.
function zipf(low, high, exponent) {
  const n = high - low + 1;
  const ratio = (x) => (Math.abs(x) > 1e-8 ? Math.expm1(x) / x : 1 + x / 2);
  const inverseRatio = (x) => (Math.abs(x) > 1e-8 ? Math.log1p(x) / x : 1 - x / 2);
  const weight = (x) => Math.exp(-exponent * Math.log(x));
  const area = (x) => ratio((1 - exponent) * Math.log(x)) * Math.log(x);
  const inverse = (y) => Math.exp(inverseRatio(Math.max(-1, y * (1 - exponent))) * y);
  const first = area(1.5) - 1;
  const last = area(n + 0.5);
  const sure = 2 - inverse(area(2.5) - weight(2));
  return () => {
    for (;;) {
      const y = last + Math.random() * (first - last);
      const x = inverse(y);
      const rank = Math.min(n, Math.max(1, Math.floor(x + 0.5)));
      if (rank - x <= sure || y >= area(rank + 0.5) - weight(rank)) return low + rank - 1;
    }
  };
}
