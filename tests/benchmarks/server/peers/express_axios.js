// The aggregator on Express and axios, with connections that are kept.
import { Agent } from "node:http";
import axios from "axios";
import express from "express";

const [port, upstream] = process.argv.slice(2);
const client = axios.create({ baseURL: upstream, httpAgent: new Agent({ keepAlive: true }), timeout: 30000 });
const app = express();

app.get("/profile", async (request, response) => {
  const id = encodeURIComponent(request.query.id);
  const [user, orders] = await Promise.all([client.get(`/users/${id}`), client.get(`/orders/${id}`)]);
  response.json({ user: user.data, orders: orders.data });
});

app.listen(Number(port), "127.0.0.1");
