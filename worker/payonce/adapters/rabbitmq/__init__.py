"""RabbitMQ: topology as data, connections, confirmed publishing, consuming with owned tasks."""
