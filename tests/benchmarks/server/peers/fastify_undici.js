// The aggregator on Fastify and undici.
import fastify from "fastify";
import { Pool } from "undici";

const [port, upstream] = process.argv.slice(2);
const pool = new Pool(upstream, { connections: 100, headersTimeout: 30000, bodyTimeout: 30000 });
const app = fastify();

async function get(path) {
  const { statusCode, body } = await pool.request({ path, method: "GET" });
  const value = await body.json();
  if (statusCode !== 200) throw new Error(`upstream: ${statusCode}`);
  return value;
}

app.get("/profile", async (request) => {
  const id = encodeURIComponent(request.query.id);
  const [user, orders] = await Promise.all([get(`/users/${id}`), get(`/orders/${id}`)]);
  return { user, orders };
});

await app.listen({ port: Number(port), host: "127.0.0.1" });
