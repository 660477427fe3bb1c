//go:build ignore

// Publishes messages to a fanout exchange and consumes them from two queues, through failovers.
//
//	messages [-count N] [-name NAME] ADDRESS...
//
// Prints a line for each message of each queue. Who repeats what when a leader dies:
//
//	a single call   see calls.go; Publish always with the same request_id, so that no message is
//	                queued twice
//	the session     consume: opened again with its id and with the messages that it has; these are
//	                not delivered to anybody else meanwhile, and acknowledged again
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	pb "quorate/v1"
)

const prefetch = 50 // Deliveries that each consumer may have at a time.

// declare makes the exchange and its queues. Repeated, it changes nothing.
func declare(broker pb.BrokerClient, name string, queues []string) error {
	exchange := &pb.Exchange{Name: name, Type: pb.ExchangeType_EXCHANGE_TYPE_FANOUT}
	_, err := repeat(func(ctx context.Context) (*pb.CreateExchangeResponse, error) {
		return broker.CreateExchange(ctx, &pb.CreateExchangeRequest{Exchange: exchange})
	})
	for _, queue := range queues {
		if err == nil {
			request := &pb.CreateMessageQueueRequest{MessageQueue: &pb.MessageQueue{Name: queue}}
			_, err = repeat(func(ctx context.Context) (*pb.CreateMessageQueueResponse, error) {
				return broker.CreateMessageQueue(ctx, request)
			})
		}
		if err == nil {
			binding := &pb.Binding{Source: name, Destination: &pb.Binding_MessageQueue{MessageQueue: queue}}
			_, err = repeat(func(ctx context.Context) (*pb.CreateBindingResponse, error) {
				return broker.CreateBinding(ctx, &pb.CreateBindingRequest{Binding: binding})
			})
		}
	}
	return err
}

// publish returns when the message is durable in all its queues.
func publish(broker pb.BrokerClient, exchange, body string) error {
	message := &pb.Message{Exchange: exchange, Body: []byte(body)}
	// The id is made once, outside of what is repeated.
	request := &pb.PublishRequest{
		Publications: []*pb.Publication{{Message: message, Mandatory: true}},
		RequestId:    newID(),
	}
	answer, err := repeat(func(ctx context.Context) (*pb.PublishResponse, error) {
		return broker.Publish(ctx, request)
	})
	if err == nil && len(answer.GetResults()) > 0 {
		err = fmt.Errorf("not queued: %v", answer.GetResults()[0])
	}
	return err
}

// received are the messages of one queue that were not acknowledged durably yet, by their ids.
type received map[uint64]bool

func (r received) ids() (ids []uint64) {
	for id := range r {
		ids = append(ids, id)
	}
	return ids
}

// consume handles each message once, until so many are acknowledged durably.
func consume(broker pb.BrokerClient, queues []string, left int, handle func(queue, body string)) error {
	session, number, heard := newID(), uint64(0), time.Now()
	unsettled := map[uint32]received{}
	for place := range queues {
		unsettled[uint32(place+1)] = received{}
	}
	read := func() error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stream, err := broker.Consume(ctx)
		if err != nil {
			return err
		}
		// By the number of the settlement.
		asked := map[uint64]*pb.Settle{}
		settle := func(consumer uint32, ids []uint64) error {
			number++
			asked[number] = &pb.Settle{Number: number, Consumer: consumer, Ids: ids, Outcome: pb.Outcome_OUTCOME_ACK}
			return stream.Send(&pb.ConsumeRequest{Request: &pb.ConsumeRequest_Settle{Settle: asked[number]}})
		}
		open := &pb.OpenSession{Session: session}
		for place, queue := range queues {
			consumer := uint32(place + 1)
			open.Consumers = append(open.Consumers, &pb.Subscribe{Consumer: consumer, Queue: queue, Prefetch: prefetch})
			has := &pb.Unsettled{Queue: queue, Consumer: consumer, Ids: unsettled[consumer].ids()}
			open.Unsettled = append(open.Unsettled, has)
		}
		if err := stream.Send(&pb.ConsumeRequest{Request: &pb.ConsumeRequest_Open{Open: open}}); err != nil {
			return err
		}
		// What was handled before, and whose acknowledgement was perhaps lost.
		for consumer, messages := range unsettled {
			if len(messages) > 0 {
				if err := settle(consumer, messages.ids()); err != nil {
					return err
				}
			}
		}
		for left > 0 {
			answer, err := stream.Recv()
			if err != nil {
				return err
			}
			heard = time.Now()
			switch found := answer.GetResponse().(type) {
			case *pb.ConsumeResponse_Deliveries:
				consumer, ids := found.Deliveries.GetConsumer(), []uint64{}
				for _, one := range found.Deliveries.GetDeliveries() {
					if !unsettled[consumer][one.GetId()] {
						handle(queues[consumer-1], string(one.GetMessage().GetBody()))
					}
					unsettled[consumer][one.GetId()] = true
					ids = append(ids, one.GetId())
				}
				if err := settle(consumer, ids); err != nil {
					return err
				}
			case *pb.ConsumeResponse_Settled:
				for number, one := range asked {
					if number > found.Settled {
						continue
					}
					delete(asked, number)
					for _, id := range one.GetIds() {
						if unsettled[one.GetConsumer()][id] {
							left--
						}
						delete(unsettled[one.GetConsumer()], id)
					}
				}
			case *pb.ConsumeResponse_Subscribed:
				if failure := found.Subscribed.GetFailure(); failure != nil {
					return fmt.Errorf("%s", failure.GetMessage())
				}
			case *pb.ConsumeResponse_Ended:
				return fmt.Errorf("%s", found.Ended.GetFailure().GetMessage())
			}
		}
		return stream.Send(&pb.ConsumeRequest{Request: &pb.ConsumeRequest_Close{Close: &pb.CloseSession{}}})
	}
	for left > 0 {
		err := read()
		if err != nil && left > 0 {
			// io.EOF: of Send, when the stream is broken.
			if (err != io.EOF && !isUnknown(err)) || time.Since(heard) > patience {
				return err
			}
			log.Printf("the session is resumed: %v", err)
			pause(watchPause)
		}
	}
	return nil
}

// remove deletes queues that have no messages any more, and the exchange.
func remove(broker pb.BrokerClient, name string, queues []string) error {
	for _, queue := range queues {
		request := &pb.DeleteMessageQueueRequest{Name: queue, IfEmpty: true, RequestId: newID()}
		if _, err := repeat(func(ctx context.Context) (*pb.DeleteMessageQueueResponse, error) {
			return broker.DeleteMessageQueue(ctx, request)
		}); err != nil {
			return err
		}
	}
	request := &pb.DeleteExchangeRequest{Name: name, RequestId: newID()}
	_, err := repeat(func(ctx context.Context) (*pb.DeleteExchangeResponse, error) {
		return broker.DeleteExchange(ctx, request)
	})
	return err
}

func main() {
	log.SetFlags(0)
	count := flag.Int("count", 10, "how many messages to publish")
	name := flag.String("name", "logs", "name of the exchange; the queues are NAME.a and NAME.b")
	file := flag.String("service-config", "../../../protos/quorate/v1/service_config.json", "its file")
	flag.Parse()
	if flag.NArg() == 0 || *count < 1 {
		log.Fatal("usage: messages [-count N] [-name NAME] ADDRESS...")
	}
	connection := must(connect(flag.Args(), string(must(os.ReadFile(*file)))))
	defer connection.Close()
	broker := pb.NewBrokerClient(connection)

	queues := []string{*name + ".a", *name + ".b"}
	check(declare(broker, *name, queues))
	go func() {
		for number := 0; number < *count; number++ {
			check(publish(broker, *name, fmt.Sprintf("hello %d", number)))
		}
	}()
	check(consume(broker, queues, *count*len(queues), func(queue, body string) {
		fmt.Println("received", queue, body)
	}))
	check(remove(broker, *name, queues))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
